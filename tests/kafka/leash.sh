#!/bin/sh
# Runs a command that ends with the process that started it, however that one ends.
#
#   leash.sh OUT ERR DIR COMMAND...
#
# The starter holds the other end of standard input. Its first line of standard output is the pid
# of the command. When standard input closes, the command is killed and DIR removed (`-`: none).
# Exits as the command did.
out=$1 err=$2 dir=$3
shift 3
exec 3<&0
"$@" </dev/null 3<&- >>"$out" 2>>"$err" &
child=$!
(
    read -r _ <&3
    : >"$out.let-go"
    kill -KILL "$child"
) >/dev/null 2>&1 &
watcher=$!
echo "$child"
exec >/dev/null 2>&1 3<&-
wait "$child"
code=$?
if [ -e "$out.let-go" ]; then
    [ "$dir" = - ] || rm -rf "$dir"
else
    kill "$watcher"
fi
exit "$code"
