// A Kafka client that is not ours: the tests read topics and ask for partitions through it.
//
// One JSON object a line comes in on standard input: {"id", "do", "bootstrap", "properties", ...}.
// Answers go out one a line, each with the request's id: {"id", "record"} per record read, and at the
// end {"id", "done"} or {"id", "error"}. Requests run side by side. Ends when standard input closes.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Reader {
    static final ObjectMapper JSON = new ObjectMapper();
    static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = JSON.readTree(line);
            Thread thread = new Thread(() -> answer(request));
            thread.setDaemon(true);
            thread.start();
        }
        Runtime.getRuntime().halt(0);
    }

    static void answer(JsonNode request) {
        ObjectNode last = JSON.createObjectNode();
        last.set("id", request.get("id"));
        try {
            last.set("done", JSON.valueToTree(run(request)));
        } catch (Throwable thrown) {
            Throwable cause = thrown.getCause() == null ? thrown : thrown.getCause();
            last.put("error", cause.toString());
        }
        say(last);
    }

    static synchronized void say(ObjectNode line) {
        OUT.println(line.toString());
        OUT.flush();
    }

    static Object run(JsonNode request) throws Exception {
        switch (request.get("do").asText()) {
            case "partitions":
                return partitions(request);
            case "read":
                return read(request);
        }
        try (Admin admin = Admin.create(properties(request))) {
            switch (request.get("do").asText()) {
                case "nodes":
                    return admin.describeCluster().nodes().get().size();
                case "create":
                    return create(admin, request);
                case "delete":
                    admin.deleteTopics(List.of(request.get("topic").asText())).all().get();
                    return true;
                case "grow":
                    NewPartitions more = NewPartitions.increaseTo(request.get("partitions").asInt());
                    admin.createPartitions(Map.of(request.get("topic").asText(), more)).all().get();
                    return true;
                case "describe":
                    return describe(admin, request);
                case "leader":
                    String topic = request.get("topic").asText();
                    var partition = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                        .partitions().get(request.get("partition").asInt());
                    return partition.leader() == null ? -1 : partition.leader().id();
                default:
                    throw new IllegalArgumentException("unknown request");
            }
        }
    }

    /** Where the Java client's own partitioner puts each key (base64). */
    static List<Integer> partitions(JsonNode request) {
        List<Integer> partitions = new ArrayList<>();
        for (JsonNode key : request.get("keys")) {
            byte[] bytes = Base64.getDecoder().decode(key.asText());
            partitions.add(BuiltInPartitioner.partitionForKey(bytes, request.get("partitions").asInt()));
        }
        return partitions;
    }

    static boolean create(Admin admin, JsonNode request) throws Exception {
        NewTopic topic = new NewTopic(
            request.get("topic").asText(), Optional.of(request.get("partitions").asInt()), Optional.empty());
        topic.configs(strings(request.get("configs")));
        admin.createTopics(List.of(topic)).all().get();
        // The controller has it; the brokers hear of it a little later.
        long deadline = System.currentTimeMillis() + 10_000;
        while (!admin.listTopics().names().get().contains(topic.name())) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException("topic " + topic.name() + " was made and no broker has it");
            }
            Thread.sleep(20);
        }
        return true;
    }

    /** Topics whose name matches, each with its partitions, replicas and configuration. */
    static Map<String, Object> describe(Admin admin, JsonNode request) throws Exception {
        Pattern pattern = Pattern.compile(request.get("topics").asText());
        Set<String> names = new TreeSet<>();
        for (String name : admin.listTopics().names().get()) {
            if (pattern.matcher(name).matches()) {
                names.add(name);
            }
        }
        List<ConfigResource> resources = new ArrayList<>();
        names.forEach(name -> resources.add(new ConfigResource(ConfigResource.Type.TOPIC, name)));
        var configs = admin.describeConfigs(resources).all().get();
        Map<String, Object> topics = new TreeMap<>();
        admin.describeTopics(names).allTopicNames().get().forEach((name, description) -> {
            Map<String, String> values = new TreeMap<>();
            configs.get(new ConfigResource(ConfigResource.Type.TOPIC, name)).entries()
                .forEach(entry -> values.put(entry.name(), String.valueOf(entry.value())));
            topics.put(name, Map.of(
                "partitions", description.partitions().size(),
                "replicas", description.partitions().get(0).replicas().size(),
                "configs", values));
        });
        return topics;
    }

    /**
     * Every record of the topics whose name matches, from their beginning. Ends when nothing came for `settle_ms`
     * after `until` records (or `until` different `ce_id`, when `distinct`), or at `timeout_ms`.
     */
    static int read(JsonNode request) {
        Pattern pattern = Pattern.compile(request.get("topics").asText());
        long deadline = System.currentTimeMillis() + request.get("timeout_ms").asLong();
        long settle = request.get("settle_ms").asLong();
        int until = request.get("until").asInt();
        boolean distinct = request.get("distinct").asBoolean();
        Properties properties = properties(request);
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("enable.auto.commit", "false");
        properties.put("allow.auto.create.topics", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("max.poll.records", "5000");
        properties.put("metadata.max.age.ms", "500");
        Set<TopicPartition> assigned = new HashSet<>();
        Set<String> ids = new HashSet<>();
        int count = 0;
        long last = System.currentTimeMillis();
        long listed = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
            while (System.currentTimeMillis() < deadline) {
                if (System.currentTimeMillis() - listed > 400) {
                    assign(consumer, pattern, assigned);
                    listed = System.currentTimeMillis();
                }
                if (assigned.isEmpty()) {
                    Thread.sleep(50);
                } else {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                        last = System.currentTimeMillis();
                        count += 1;
                        ids.add(id(record));
                        ObjectNode line = JSON.createObjectNode();
                        line.set("id", request.get("id"));
                        line.set("record", describe(record));
                        say(line);
                    }
                }
                int have = distinct ? ids.size() : count;
                if (have >= until && System.currentTimeMillis() - last > settle) {
                    break;
                }
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        return count;
    }

    static void assign(KafkaConsumer<?, ?> consumer, Pattern pattern, Set<TopicPartition> assigned) {
        List<TopicPartition> fresh = new ArrayList<>();
        try {
            for (Map.Entry<String, List<PartitionInfo>> topic : consumer.listTopics(Duration.ofSeconds(2)).entrySet()) {
                if (pattern.matcher(topic.getKey()).matches()) {
                    for (PartitionInfo each : topic.getValue()) {
                        TopicPartition partition = new TopicPartition(each.topic(), each.partition());
                        if (assigned.add(partition)) {
                            fresh.add(partition);
                        }
                    }
                }
            }
        } catch (org.apache.kafka.common.errors.TimeoutException away) {
            return;
        }
        if (!fresh.isEmpty()) {
            consumer.assign(assigned);
            consumer.seekToBeginning(fresh);
        }
    }

    static String id(ConsumerRecord<?, ?> record) {
        Header header = record.headers().lastHeader("ce_id");
        return header == null ? record.topic() + record.partition() + "@" + record.offset()
            : record.topic() + new String(header.value(), StandardCharsets.UTF_8);
    }

    static ObjectNode describe(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = JSON.createObjectNode();
        node.put("topic", record.topic());
        node.put("partition", record.partition());
        node.put("offset", record.offset());
        node.put("timestamp", record.timestamp());
        node.put("key", record.key());
        node.put("value", record.value());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value());
        }
        return node;
    }

    static Properties properties(JsonNode request) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", request.get("bootstrap").asText());
        boolean probing = request.get("do").asText().equals("nodes");
        properties.put("request.timeout.ms", probing ? "1000" : "5000");
        properties.put("default.api.timeout.ms", probing ? "1500" : "15000");
        properties.putAll(strings(request.get("properties")));
        return properties;
    }

    static Map<String, String> strings(JsonNode node) {
        Map<String, String> strings = new TreeMap<>();
        if (node != null) {
            node.properties().forEach(field -> strings.put(field.getKey(), field.getValue().asText()));
        }
        return strings;
    }
}
