package rampstream.bench;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * The reconciler's peer on Kafka Streams. Arguments are name=value: webhook, check, transition (topics), their schema
 * ids and that of the state (webhook.id, check.id, state.id, transition.id), and any setting of Kafka Streams.
 * It runs until SIGTERM.
 */
public final class Main {
  private Main() {}

  public static void main(String[] args) throws InterruptedException {
    Map<String, String> own = new HashMap<>();
    Properties config = new Properties();
    for (String a : args) {
      int i = a.indexOf('=');
      if (i < 0) {
        throw new IllegalArgumentException("want name=value, got " + a);
      }
      String name = a.substring(0, i);
      if (List.of("webhook", "check", "transition").contains(name) || name.endsWith(".id") && !name.equals("application.id")) {
        own.put(name, a.substring(i + 1));
      } else {
        config.put(name, a.substring(i + 1));
      }
    }
    Reconcile.Ids ids = new Reconcile.Ids(own.get("webhook"), number(own, "webhook.id"), number(own, "check.id"), number(own, "state.id"),
        number(own, "transition.id"));
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(Reconcile.STORE), Serdes.Bytes(), Serdes.ByteArray())
        .withCachingEnabled().withLoggingEnabled(Map.of()));
    builder.stream(List.of(own.get("webhook"), own.get("check")), Consumed.with(Serdes.Bytes(), Serdes.ByteArray()))
        .process(() -> new Reconcile(ids), Reconcile.STORE)
        .to(own.get("transition"), Produced.with(Serdes.Bytes(), Serdes.ByteArray()));
    CountDownLatch end = new CountDownLatch(1);
    try (KafkaStreams streams = new KafkaStreams(builder.build(config), new StreamsConfig(config))) {
      streams.setUncaughtExceptionHandler(e -> {
        e.printStackTrace();
        Runtime.getRuntime().halt(1);
        return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
      });
      Runtime.getRuntime().addShutdownHook(new Thread(() -> {
        streams.close(Duration.ofSeconds(20));
        end.countDown();
      }));
      streams.start();
      end.await();
    }
  }

  private static int number(Map<String, String> m, String name) {
    return Integer.parseInt(m.get(name));
  }
}
