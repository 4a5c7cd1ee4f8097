import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics to their ends with Kafka's own client and prints one line a partition: topic, partition, records and
 * the SHA-256 of offsets, keys and values.
 *
 * usage: java -cp 'LIBS/*' ReadDigests.java BROKERS read_committed|read_uncommitted TOPIC...
 */
public class ReadDigests {
    static final int IDLE_SECONDS = 60;

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("isolation.level", args[1]);
        p.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            for (String topic : Arrays.asList(args).subList(2, args.length)) {
                c.partitionsFor(topic).forEach(i -> all.add(new TopicPartition(topic, i.partition())));
            }
            c.assign(all);
            c.seekToBeginning(all);
            // Under read_committed the end is the last stable offset.
            Map<TopicPartition, Long> ends = c.endOffsets(all);
            Map<TopicPartition, MessageDigest> digests = new HashMap<>();
            Map<TopicPartition, Integer> counts = new HashMap<>();
            for (TopicPartition tp : all) {
                digests.put(tp, MessageDigest.getInstance("SHA-256"));
                counts.put(tp, 0);
            }
            long deadline = System.nanoTime() + Duration.ofSeconds(IDLE_SECONDS).toNanos();
            for (long at = 0, now; all.stream().anyMatch(tp -> c.position(tp) < ends.get(tp)); at = now) {
                now = all.stream().mapToLong(c::position).sum();
                if (now > at) {
                    deadline = System.nanoTime() + Duration.ofSeconds(IDLE_SECONDS).toNanos();
                } else if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("not read to the ends");
                }
                for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(200))) {
                    TopicPartition tp = new TopicPartition(r.topic(), r.partition());
                    MessageDigest d = digests.get(tp);
                    d.update(ByteBuffer.allocate(8).putLong(r.offset()).array());
                    add(d, r.key());
                    add(d, r.value());
                    counts.merge(tp, 1, Integer::sum);
                }
            }
            for (TopicPartition tp : all) {
                System.out.printf("%s %d %d %s%n", tp.topic(), tp.partition(), counts.get(tp), HexFormat.of().formatHex(digests.get(tp).digest()));
            }
        }
    }

    /** Length, -1 for null, and bytes. */
    static void add(MessageDigest d, byte[] b) {
        d.update(ByteBuffer.allocate(4).putInt(b == null ? -1 : b.length).array());
        if (b != null) {
            d.update(b);
        }
    }
}
