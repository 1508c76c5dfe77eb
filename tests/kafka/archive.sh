#!/bin/sh
# Starts a broker once and keeps the classes it loaded in DIR/broker.jsa.
#
#   archive.sh DIR      DIR/lib holds the jars
set -eu
here=$(dirname "$0")
kafka=$1
dir=$(mktemp -d)
broker=
trap '[ -z "$broker" ] || kill -KILL "$broker" 2>/dev/null; rm -rf "$dir"' EXIT
port=$((20000 + $$ % 5000 * 2))
cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$((port + 1)),CONTROLLER://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
log.cleaner.dedupe.buffer.size=8388608
END
# The same order as the tests give: an archive holds for one class path.
cp=$(LC_ALL=C ls "$kafka"/lib/*.jar | xargs -n 1 realpath | paste -sd:)
java="java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp $cp -Dlog4j2.configurationFile=$here/log4j2.properties"
$java kafka.tools.StorageTool format -t ThisIsOneClusterIdAAAA -c "$dir/server.properties" >"$dir/out" 2>&1
$java -XX:ArchiveClassesAtExit="$kafka/broker.jsa" kafka.Kafka "$dir/server.properties" >>"$dir/out" 2>&1 &
broker=$!
tries=0
until grep -q 'Kafka Server started' "$dir/out"; do
    tries=$((tries + 1))
    if [ $tries -gt 150 ] || ! kill -0 $broker 2>/dev/null; then
        tail -n 20 "$dir/out" >&2
        exit 1
    fi
    sleep 0.2
done
kill $broker
wait $broker || [ $? -eq 143 ]
broker=
[ -s "$kafka/broker.jsa" ]
