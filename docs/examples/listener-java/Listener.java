/*
 * Books every answer of a paybuf ledger exactly once into PostgreSQL tables of its own. Kill it whenever you like.
 *
 *     apt-get install default-jdk-headless libpostgresql-jdbc-java      (and kafka-clients with slf4j-api, through Maven)
 *     PAYBUF_KAFKA_BOOTSTRAP=127.0.0.1:9092 LISTENER_JDBC_URL='jdbc:postgresql://localhost/mine?user=me' \
 *         java -cp 'kafka-jars/*:/usr/share/java/postgresql.jar' Listener.java
 */
import static java.nio.charset.StandardCharsets.UTF_8;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Listener {
    static final String REPLIES = System.getenv().getOrDefault("PAYBUF_REPLY_TOPIC", "pay.replies");
    static final String REQUESTS = System.getenv().getOrDefault("PAYBUF_REQUEST_TOPIC", "pay.requests");
    static final String TABLES = """
        CREATE TABLE IF NOT EXISTS booking (position text, order_id text, account_id text, outcome text, duplicate bool, amount_minor bigint,
                                            id bigint GENERATED ALWAYS AS IDENTITY);
        CREATE TABLE IF NOT EXISTS position (partition int, generation bigint, next bigint, reply_offset bigint, resync_until bigint,
                                             ledger text, PRIMARY KEY (partition, generation))""";
    static final String BOOK = """
        INSERT INTO booking SELECT r ->> 'position', r ->> 'order_id', r ->> 'account_id', r ->> 'outcome', (r ->> 'duplicate')::bool,
                                   (r ->> 'amount_minor')::bigint FROM (SELECT ?::json AS r) AS reply""";
    /** Nothing is stored when `next` isn't what this process left there: then another listener is at work. */
    static final String MOVE = """
        INSERT INTO position VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (partition, generation) DO UPDATE
        SET next = excluded.next, reply_offset = excluded.reply_offset WHERE position.next = ?""";

    static final long LOOK_MS = 10_000;                // topics may grow: new partitions are looked for so often

    record Key(int partition, long generation) {}
    record Gap(Key key, long coversFrom, long offset) {}

    final Map<Key, Long> n = new HashMap<>();          // the one integer: the next source offset that is wanted
    final Map<Key, Long> e0 = new HashMap<>();         // below it, a listener that began in the middle may jump
    final Map<Integer, Long> start = new HashMap<>();  // where to read on in the reply log: decides nothing
    final Map<Integer, Long> fresh = new HashMap<>();  // E0 of partitions whose log doesn't begin at 0 any more, else -1
    final Map<Integer, Gap> gaps = new HashMap<>();
    String ledger;
    long looked;                                       // System.nanoTime
    KafkaConsumer<String, byte[]> consumer;
    Connection database;

    public static void main(String[] arguments) throws Exception {
        Listener listener = new Listener();
        listener.loadPositions();
        listener.open();
        listener.followNew();
        while (true) {
            listener.bookBatch();
            listener.followNewNowAndThen();
        }
    }

    void loadPositions() throws Exception {
        database = DriverManager.getConnection(System.getenv("LISTENER_JDBC_URL"));
        database.createStatement().execute(TABLES);
        ResultSet rows = database.createStatement().executeQuery(
            "SELECT partition, generation, next, reply_offset, resync_until, ledger FROM position ORDER BY generation");
        while (rows.next()) {
            Key key = new Key(rows.getInt(1), rows.getLong(2));
            n.put(key, rows.getLong(3));
            start.put(key.partition, rows.getLong(4));
            e0.put(key, rows.getLong(5));
            ledger = rows.getString(6);
        }
        database.setAutoCommit(false);
    }

    void open() {
        // "earliest" skips nothing: what is wanted says n, not Kafka. Partitions of a topic that grew are seen when metadata is read again.
        consumer = new KafkaConsumer<>(Map.of("bootstrap.servers", System.getenv("PAYBUF_KAFKA_BOOTSTRAP"), "enable.auto.commit", "false",
            "auto.offset.reset", "earliest", "isolation.level", "read_uncommitted", "metadata.max.age.ms", Long.toString(LOOK_MS)),
            new StringDeserializer(), new ByteArrayDeserializer());
    }

    /** Begins to read the partitions that aren't followed yet; the others go on where they are. */
    void followNew() {
        looked = System.nanoTime();
        List<TopicPartition> all = consumer.partitionsFor(REPLIES).stream().map(p -> new TopicPartition(REPLIES, p.partition())).toList();
        Set<TopicPartition> added = new HashSet<>(all);
        added.removeAll(consumer.assignment());
        if (added.isEmpty()) return;
        Map<TopicPartition, Long> low = consumer.beginningOffsets(added);
        for (TopicPartition p : added) {
            if (start.containsKey(p.partition())) continue;
            TopicPartition requests = new TopicPartition(REQUESTS, p.partition());
            fresh.put(p.partition(), low.get(p) > 0 ? consumer.endOffsets(List.of(requests)).get(requests) : -1);
        }
        consumer.assign(all);
        for (TopicPartition p : added) consumer.seek(p, start.getOrDefault(p.partition(), low.get(p)));
    }

    void followNewNowAndThen() {
        if (System.nanoTime() - looked < LOOK_MS * 1_000_000) return;
        try {
            followNew();
        } catch (RetriableException away) {
            // The broker is away, or still making them: the next look.
        }
    }

    static String header(ConsumerRecord<String, byte[]> record, String name) {
        var header = record.headers().lastHeader(name);
        return header == null ? null : new String(header.value(), UTF_8);
    }

    /** One transaction: bookings and positions. Any exception ends the process, and with it the transaction. */
    void bookBatch() throws Exception {
        Map<Key, Long> was = new HashMap<>(), offsets = new HashMap<>();
        Set<Integer> rewound = new HashSet<>();
        PreparedStatement book = database.prepareStatement(BOOK);
        for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
            String source = header(record, "source-offset"), covers = header(record, "covers-from"),
                   generation = header(record, "log-generation"), of = header(record, "ledger-id");
            int p = record.partition();
            if (rewound.contains(p) || source == null || covers == null || generation == null || of == null) continue;
            if (ledger == null) ledger = of;
            if (!ledger.equals(of)) throw new IllegalStateException("a reply of ledger " + of + ", not " + ledger);
            Key key = new Key(p, Long.parseLong(generation));
            long s = Long.parseLong(source), c = Long.parseLong(covers);
            if (!n.containsKey(key)) {                                   // a later generation begins at 0
                n.put(key, 0L);
                e0.put(key, Objects.requireNonNullElse(fresh.remove(p), -1L));
            }
            long next = n.get(key);
            if (s < next) continue;                                      // a copy
            if (c > next && next > e0.get(key)) {                        // replies are missing: alarm, and don't move
                if (gaps.putIfAbsent(p, new Gap(key, c, record.offset())) == null)
                    System.err.printf("GAP: missing %2$d-%1$d-%3$d to %2$d-%1$d-%4$d: paybuf replay --reply --from %2$d-%1$d-%3$d%n",
                        p, key.generation, next, c - 1);
                continue;
            }
            book.setString(1, new String(record.value(), UTF_8));        // your own work, in the transaction
            book.executeUpdate();
            was.putIfAbsent(key, next);
            n.put(key, s + 1);
            offsets.put(key, record.offset() + 1);
            Gap gap = gaps.get(p);
            if (gap != null && gap.key.equals(key) && s + 1 >= gap.coversFrom) {   // closed: what came behind it is read again
                gaps.remove(p);
                offsets.put(key, gap.offset);
                consumer.seek(new TopicPartition(REPLIES, p), gap.offset);
                rewound.add(p);
            }
        }
        book.close();
        for (Key key : was.keySet()) move(key, was.get(key), offsets.get(key));
        database.commit();
    }

    void move(Key key, long was, long offset) throws Exception {
        Gap gap = gaps.get(key.partition);
        Object[] values = {key.partition, key.generation, n.get(key), gap == null ? offset : Math.min(offset, gap.offset), e0.get(key), ledger, was};
        PreparedStatement move = database.prepareStatement(MOVE);
        for (int i = 0; i < values.length; i++) move.setObject(i + 1, values[i]);
        if (move.executeUpdate() != 1) throw new IllegalStateException("another listener writes these books");
        move.close();
    }
}
