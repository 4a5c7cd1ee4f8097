package rampstream.bench;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import rampstream.v1.OrderEvidence;
import rampstream.v1.OrderState;
import rampstream.v1.StatusCheck;
import rampstream.v1.Transition;
import rampstream.v1.Webhook;

/**
 * Joins webhooks and status checks of an order into its evidence, and derives its state. The state is the value of the
 * store, and so of its changelog; a change of status goes on as a transition.
 */
final class Reconcile implements Processor<Bytes, byte[], Bytes, byte[]> {
  static final String STORE = "order-state";

  private static final Utf8 OK = new Utf8("ok");
  private static final Utf8 SIGNED = new Utf8("SIGNED");
  private static final Utf8 UNKNOWN = Rules.Status.UNKNOWN.text;
  private static final Utf8 EVIDENCE = new Utf8("evidence");

  private final Ids ids;
  private final Rules rules = new Rules();
  private final MessageDigest sha = Framed.sha256();
  private final Framed<Webhook> webhooks;
  private final Framed<StatusCheck> checks;
  private final Framed<OrderState> states;
  private final Framed<Transition> transitions;
  private final Transition transition = new Transition();
  private Webhook webhook;
  private StatusCheck check;
  private ProcessorContext<Bytes, byte[]> context;
  private KeyValueStore<Bytes, byte[]> store;

  /** Topic names, and schema ids of the registry. */
  record Ids(String webhookTopic, int webhook, int check, int state, int transition) {}

  Reconcile(Ids ids) {
    this.ids = ids;
    SpecificData model = new SpecificData();
    model.setCustomCoders(true);
    webhooks = new Framed<>(ids.webhook, Webhook.getClassSchema(), model);
    checks = new Framed<>(ids.check, StatusCheck.getClassSchema(), model);
    states = new Framed<>(ids.state, OrderState.getClassSchema(), model);
    transitions = new Framed<>(ids.transition, Transition.getClassSchema(), model);
  }

  @Override
  public void init(ProcessorContext<Bytes, byte[]> context) {
    this.context = context;
    this.store = context.getStateStore(STORE);
  }

  @Override
  public void process(Record<Bytes, byte[]> r) {
    RecordMetadata at = context.recordMetadata().orElseThrow();
    byte[] old = store.get(r.key());
    OrderState st = old == null ? null : states.read(old, null);
    OrderEvidence row = at.topic().equals(ids.webhookTopic) ? webhook(r, at) : check(r, at);
    if (row == null) {
      return;
    }
    if (st == null) {
      st = empty(at);
    }
    CharSequence before = st.getStatus();
    CharSequence beforeRaw = st.getStatusRaw();
    long lastSeen = st.getLastSeenAt();
    if (!join(st.getEvidence(), row)) {
      return;
    }
    rules.view(st);
    byte[] value = states.write(st);
    store.put(r.key(), value);
    if (!st.getStatus().equals(before)) {
      context.forward(r.withValue(announce(st, before, beforeRaw, lastSeen, value, row, r.timestamp())));
    }
  }

  private OrderState empty(RecordMetadata at) {
    OrderState st = new OrderState();
    boolean hook = at.topic().equals(ids.webhookTopic);
    st.setKey(hook ? webhook.getKey() : check.getKey());
    st.setProvider(hook ? webhook.getProvider() : check.getProvider());
    st.setAccount(hook ? webhook.getAccount() : check.getAccount());
    st.setSubject(hook ? webhook.getSubject() : check.getSubject());
    st.setSubjectId(hook ? webhook.getSubjectId() : check.getSubjectId());
    st.setStatus(UNKNOWN);
    st.setOpenDiscrepancies(List.of());
    st.setEvidence(new ArrayList<>(1));
    return st;
  }

  /** A time ahead of the log's clock is cut to it. */
  private static long cut(long observed, long appended) {
    return Math.min(observed, appended + Rules.MARGIN);
  }

  private static Utf8 coordinates(RecordMetadata at) {
    return new Utf8(at.topic() + "-" + at.partition() + "-" + at.offset());
  }

  private OrderEvidence webhook(Record<Bytes, byte[]> r, RecordMetadata at) {
    webhook = webhooks.read(r.value(), webhook);
    if (!SIGNED.equals(webhook.getTrust())) {
      return null;
    }
    OrderEvidence e = new OrderEvidence();
    e.setKind(Rules.WEBHOOK);
    e.setWord(webhook.getStatusRaw());
    e.setDigest(new Utf8(Facts.digest(sha, webhook)));
    e.setFirstAt(cut(webhook.getObservedAt(), r.timestamp()));
    e.setFirstEventId(webhook.getEventId());
    e.setFirstCoordinates(coordinates(at));
    Facts.take(e, webhook);
    return e;
  }

  private OrderEvidence check(Record<Bytes, byte[]> r, RecordMetadata at) {
    check = checks.read(r.value(), check);
    OrderEvidence e = new OrderEvidence();
    e.setKind(Rules.POLL);
    e.setWord(OK.equals(check.getOutcome()) ? check.getStatusRaw() : new Utf8("!" + check.getOutcome()));
    e.setFirstAt(cut(check.getObservedAt(), r.timestamp()));
    e.setFirstEventId(check.getEventId());
    e.setFirstCoordinates(coordinates(at));
    e.setLastAt(e.getFirstAt());
    e.setLastEventId(e.getFirstEventId());
    e.setLastCoordinates(e.getFirstCoordinates());
    Facts.take(e, check);
    return e;
  }

  /** Merges a row into rows that are sorted by kind, word and digest; false when it adds nothing. */
  private static boolean join(List<OrderEvidence> rows, OrderEvidence e) {
    int i = 0;
    int c = -1;
    for (; i < rows.size() && (c = compare(rows.get(i), e)) < 0; i++) {}
    if (i == rows.size() || c > 0) {
      rows.add(i, e);
      return true;
    }
    OrderEvidence had = rows.get(i);
    boolean changed = false;
    if (earlier(e, had)) {
      had.setFirstAt(e.getFirstAt());
      had.setFirstEventId(e.getFirstEventId());
      had.setFirstCoordinates(e.getFirstCoordinates());
      changed = true;
    }
    if (Rules.isPoll(e) && later(e, had)) {
      had.setLastAt(e.getLastAt());
      had.setLastEventId(e.getLastEventId());
      had.setLastCoordinates(e.getLastCoordinates());
      changed = true;
    }
    return changed;
  }

  private static int compare(OrderEvidence a, OrderEvidence b) {
    boolean pa = Rules.isPoll(a);
    boolean pb = Rules.isPoll(b);
    if (pa != pb) {
      return pa ? 1 : -1;
    }
    int c = text(a.getWord()).compareTo(text(b.getWord()));
    return c != 0 || pa ? c : text(a.getDigest()).compareTo(text(b.getDigest()));
  }

  private static Utf8 text(CharSequence s) {
    return s instanceof Utf8 u ? u : new Utf8(s.toString());
  }

  private static boolean earlier(OrderEvidence a, OrderEvidence b) {
    int c = Long.compare(a.getFirstAt(), b.getFirstAt());
    return (c != 0 ? c : text(a.getFirstEventId()).compareTo(text(b.getFirstEventId()))) < 0;
  }

  private static boolean later(OrderEvidence a, OrderEvidence b) {
    int c = Long.compare(a.getLastAt(), b.getLastAt());
    return (c != 0 ? c : text(a.getLastEventId()).compareTo(text(b.getLastEventId()))) > 0;
  }

  private byte[] announce(OrderState st, CharSequence before, CharSequence beforeRaw, long lastSeen, byte[] value, OrderEvidence by, long learned) {
    String after = Framed.digest(sha, value);
    Transition t = transition;
    t.setKey(st.getKey());
    t.setProvider(st.getProvider());
    t.setAccount(st.getAccount());
    t.setSubject(st.getSubject());
    t.setSubjectId(st.getSubjectId());
    t.setTransitionId(Framed.digest(sha, st.getKey().toString().getBytes(StandardCharsets.UTF_8), after.getBytes(StandardCharsets.UTF_8)));
    t.setFromStatus(before);
    t.setFromStatusRaw(beforeRaw);
    t.setToStatus(st.getStatus());
    t.setToStatusRaw(st.getStatusRaw());
    t.setDecidedBy(st.getDecidedBy());
    t.setReason(EVIDENCE);
    t.setTerminal(st.getTerminal());
    t.setDigestAfter(after);
    t.setCauseCoordinates(by.getFirstCoordinates());
    t.setCauseEventId(by.getFirstEventId());
    t.setTrueAt(st.getSinceAt());
    t.setLearnedAt(learned);
    t.setRetroactive(lastSeen != 0 && st.getSinceAt() < lastSeen);
    return transitions.write(t);
  }
}
