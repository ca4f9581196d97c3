import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.KeyValue;

/** The three jobs of the benchmark in Kafka Streams' own language; which one, the environment says. */
public final class Streams {
    private static final Schema FRAME = schema("BenchFrame");
    private static final Schema CALL = schema("BenchCall");
    private static final Schema RESULT = schema("BenchResult");

    public static void main(String[] arguments) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, env("BENCH_NAME"));
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env("BENCH_BOOTSTRAP"));
        properties.put(StreamsConfig.STATE_DIR_CONFIG, new File("state").getAbsolutePath());
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // else updates come with the commit
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5); // 100 is its default
        StreamsBuilder builder = new StreamsBuilder();
        build(builder, env("BENCH_JOB"));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
    }

    private static void build(StreamsBuilder builder, String job) {
        Serde<GenericRecord> frame = serde(FRAME);
        Serde<GenericRecord> result = serde(RESULT);
        KStream<String, GenericRecord> frames = builder.stream(
            env("BENCH_FRAMES"),
            Consumed.with(Serdes.String(), frame)
                .withTimestampExtractor((record, before) -> (long) ((GenericRecord) record.value()).get("at_ms")));
        KStream<String, GenericRecord> results = switch (job) {
            case "map" -> frames.mapValues(f -> result(f, ((ByteBuffer) f.get("audio")).remaining()));
            case "count" -> frames
                .groupByKey(Grouped.with(Serdes.String(), frame))
                .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofSeconds(10)))
                .count()
                .toStream()
                .map((window, n) -> KeyValue.pair(
                    window.key(), result(window.key(), 0L, window.window().start(), n)));
            case "join" -> frames.join(
                builder.table(env("BENCH_CALLS"), Consumed.with(Serdes.String(), serde(CALL))),
                (f, call) -> result(f, (long) call.get("queue")),
                Joined.with(Serdes.String(), frame, serde(CALL)));
            default -> throw new IllegalArgumentException("there is no job " + job);
        };
        results.to(env("BENCH_RESULTS"), Produced.with(Serdes.String(), result));
    }

    private static GenericRecord result(GenericRecord frame, long value) {
        return result(frame.get("call_id"), (long) frame.get("number"), (long) frame.get("at_ms"), value);
    }

    private static GenericRecord result(Object call, long number, long at, long value) {
        GenericRecord record = new GenericData.Record(RESULT);
        record.put("call_id", call);
        record.put("number", number);
        record.put("at_ms", at);
        record.put("value", value);
        return record;
    }

    /** Avro's single-object encoding; decoder and encoder are used again, as the one stream thread allows. */
    private static Serde<GenericRecord> serde(Schema schema) {
        byte[] header = header(schema);
        GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
        GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryDecoder[] decoder = new BinaryDecoder[1];
        BinaryEncoder[] encoder = new BinaryEncoder[1];
        return Serdes.serdeFrom(
            (topic, record) -> {
                if (record == null) {
                    return null;
                }
                try {
                    out.reset();
                    out.write(header);
                    encoder[0] = EncoderFactory.get().directBinaryEncoder(out, encoder[0]);
                    writer.write(record, encoder[0]);
                    return out.toByteArray();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            },
            (topic, data) -> {
                if (data == null) {
                    return null;
                }
                if (!Arrays.equals(data, 0, 10, header, 0, 10)) {
                    throw new IllegalArgumentException(topic + ": not a " + schema.getName());
                }
                try {
                    decoder[0] = DecoderFactory.get().binaryDecoder(data, 10, data.length - 10, decoder[0]);
                    return reader.read(null, decoder[0]);
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            });
    }

    private static byte[] header(Schema schema) {
        byte[] header = new byte[10];
        header[0] = (byte) 0xC3;
        header[1] = 0x01;
        ByteBuffer.wrap(header).order(java.nio.ByteOrder.LITTLE_ENDIAN)
            .putLong(2, SchemaNormalization.parsingFingerprint64(schema));
        return header;
    }

    private static Schema schema(String name) {
        try {
            return new Schema.Parser().parse(new File(env("BENCH_SCHEMAS"), name + ".avsc"));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static String env(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is not set");
        }
        return value;
    }
}
