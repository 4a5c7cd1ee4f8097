package rampstream.bench;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.util.Utf8;
import rampstream.v1.OrderEvidence;
import rampstream.v1.OrderState;

/**
 * What the evidence of an order amounts to: the rules of the reconciler for an order that has webhooks and status
 * checks, without intents, operators' decisions and discrepancies. It keeps scratch memory and is for one thread.
 */
final class Rules {
  static final long MARGIN = 5_000;
  static final long CONFIRM = 600_000;
  static final Utf8 WEBHOOK = new Utf8("webhook");
  static final Utf8 POLL = new Utf8("poll");

  private static final Utf8 VERSION = new Utf8("streams");
  private static final Map<Utf8, Status> WORDS = new HashMap<>();

  enum Status {
    UNKNOWN(0), CREATED(10), PENDING(20), PROCESSING(30), ON_HOLD(30), DISPUTED(0),
    COMPLETED(40), FAILED(40), CANCELLED(40), EXPIRED(40), REFUNDED(50);

    final int rank;
    final Utf8 text = new Utf8(name());

    Status(int rank) {
      this.rank = rank;
    }

    boolean terminal() {
      return rank >= 40;
    }
  }

  private static final Status[] ALL = Status.values();

  static {
    for (String w : new String[] {"order_pending", "pending+uninitiated", "pending+null", "pending+pending", "null+uninitiated"}) {
      WORDS.put(new Utf8(w), Status.PENDING);
    }
    for (String w : new String[] {"order_processing", "success+uninitiated", "success+pending", "success+unknown", "null+pending"}) {
      WORDS.put(new Utf8(w), Status.PROCESSING);
    }
    for (String w : new String[] {"order_completed", "success+settled", "null+settled"}) {
      WORDS.put(new Utf8(w), Status.COMPLETED);
    }
    for (String w : new String[] {"order_failed", "success+failed", "null+failed", "failed+null", "failed+pending"}) {
      WORDS.put(new Utf8(w), Status.FAILED);
    }
  }

  private static final Utf8 TERMINAL = new Utf8("terminal");
  private static final Utf8 REFUNDED = new Utf8("refunded");
  private static final Utf8 CONTRADICTED = new Utf8("terminal_contradicted");
  private static final Utf8 DISPUTED = new Utf8("terminals_disputed");
  private static final Utf8 RESOLVED = new Utf8("terminals_resolved");
  private static final Utf8 LATEST_POLL = new Utf8("latest_poll");
  private static final Utf8 AFTER_POLL = new Utf8("webhook_after_poll");
  private static final Utf8 BY_WEBHOOK = new Utf8("webhook");
  private static final Utf8 NO_KNOWN = new Utf8("no_known_status");

  private final long[] first = new long[ALL.length];
  private final long[] last = new long[ALL.length];
  private final long[] lastPoll = new long[ALL.length];

  /** The status of a word; UNKNOWN for one that the table does not have. */
  static Status status(CharSequence word) {
    Status s = WORDS.get(word instanceof Utf8 u ? u : new Utf8(word.toString()));
    return s == null ? Status.UNKNOWN : s;
  }

  static boolean isPoll(OrderEvidence e) {
    return e.getLastAt() != null;
  }

  private static long at(OrderEvidence e) {
    return isPoll(e) ? e.getLastAt() : e.getFirstAt();
  }

  /** Derives everything that is shown from the evidence of st. */
  void view(OrderState st) {
    List<OrderEvidence> rows = st.getEvidence();
    long seen = Long.MAX_VALUE;
    long lastSeen = 0;
    java.util.Arrays.fill(first, Long.MAX_VALUE);
    java.util.Arrays.fill(last, 0);
    java.util.Arrays.fill(lastPoll, 0);
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      int s = status(e.getWord()).ordinal();
      first[s] = Math.min(first[s], e.getFirstAt());
      last[s] = Math.max(last[s], at(e));
      if (isPoll(e)) {
        lastPoll[s] = Math.max(lastPoll[s], e.getLastAt());
      }
      seen = Math.min(seen, e.getFirstAt());
      lastSeen = Math.max(lastSeen, at(e));
    }
    st.setFirstSeenAt(seen);
    st.setLastSeenAt(lastSeen);
    st.setRulesVersion(VERSION);
    decide(st, rows);
  }

  private void decide(OrderState st, List<OrderEvidence> rows) {
    Status one = null;
    int terminals = 0;
    for (Status s : ALL) {
      if (s.terminal() && last[s.ordinal()] > 0) {
        one = s;
        terminals++;
      }
    }
    if (terminals == 0) {
      open(st, rows);
      return;
    }
    if (one == Status.REFUNDED) {
      show(st, rows, one, REFUNDED, saidFirst(rows, one), first[one.ordinal()]);
      return;
    }
    Utf8 rule = TERMINAL;
    if (terminals > 1) {
      rule = RESOLVED;
      one = outlasts();
      if (one == null) {
        show(st, rows, Status.DISPUTED, DISPUTED, null, st.getLastSeenAt());
        return;
      }
    }
    long limit = last[one.ordinal()] + CONFIRM;
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      Status s = status(e.getWord());
      if (isPoll(e) && e.getLastAt() > limit && s != Status.UNKNOWN && !s.terminal()) {
        show(st, rows, Status.DISPUTED, CONTRADICTED, null, Math.max(e.getFirstAt(), limit));
        return;
      }
    }
    show(st, rows, one, rule, saidFirst(rows, one), first[one.ordinal()]);
  }

  private Status outlasts() {
    for (Status t : ALL) {
      boolean wins = t.terminal() && lastPoll[t.ordinal()] > 0;
      for (Status o : ALL) {
        wins &= o == t || !o.terminal() || last[o.ordinal()] == 0 || lastPoll[t.ordinal()] > last[o.ordinal()] + CONFIRM;
      }
      if (wins) {
        return t;
      }
    }
    return null;
  }

  private static OrderEvidence saidFirst(List<OrderEvidence> rows, Status s) {
    OrderEvidence best = null;
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      if (status(e.getWord()) == s && (best == null || e.getFirstAt() < best.getFirstAt())) {
        best = e;
      }
    }
    return best;
  }

  /** The provider's latest answer, and what webhooks said after it was asked. */
  private void open(OrderState st, List<OrderEvidence> rows) {
    OrderEvidence poll = null;
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      if (isPoll(e) && status(e.getWord()) != Status.UNKNOWN && (poll == null || e.getLastAt() > poll.getLastAt())) {
        poll = e;
      }
    }
    OrderEvidence best = poll;
    Utf8 rule = poll == null ? NO_KNOWN : LATEST_POLL;
    long after = poll == null ? Long.MIN_VALUE : poll.getLastAt() - MARGIN;
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      Status s = status(e.getWord());
      if (isPoll(e) || s == Status.UNKNOWN || e.getFirstAt() <= after) {
        continue;
      }
      int rank = best == null ? -1 : status(best.getWord()).rank;
      if (s.rank > rank || s.rank == rank && e.getFirstAt() > at(best)) {
        best = e;
        rule = poll == null ? BY_WEBHOOK : AFTER_POLL;
      }
    }
    Status s = best == null ? Status.UNKNOWN : status(best.getWord());
    long since = first[s.ordinal()] == Long.MAX_VALUE ? st.getFirstSeenAt() : first[s.ordinal()];
    for (Status o : ALL) {
      if (o != s && o != Status.UNKNOWN && last[o.ordinal()] > since && last[o.ordinal()] < last[s.ordinal()]) {
        since = last[o.ordinal()];
      }
    }
    show(st, rows, s, rule, best, since);
  }

  private void show(OrderState st, List<OrderEvidence> rows, Status s, Utf8 rule, OrderEvidence by, long since) {
    st.setStatus(s.text);
    st.setTerminal(s.terminal());
    st.setDecidedBy(rule);
    st.setSinceAt(since);
    st.setStatusRaw(by == null ? null : by.getWord());
    st.setDecidedSource(by == null ? null : isPoll(by) ? POLL : WEBHOOK);
    Facts.clear(st);
    if (by != null) {
      Facts.fill(st, by);
    }
    for (int kind = 0; kind < 2; kind++) { // polls first, the latest first
      OrderEvidence prev = null;
      while ((prev = next(rows, kind == 0, prev)) != null) {
        if (prev != by) {
          Facts.fill(st, prev);
        }
      }
    }
  }

  /** The row of a kind that was said latest before prev; null at the end. */
  private static OrderEvidence next(List<OrderEvidence> rows, boolean polls, OrderEvidence prev) {
    OrderEvidence best = null;
    for (int i = 0; i < rows.size(); i++) {
      OrderEvidence e = rows.get(i);
      if (isPoll(e) == polls && (prev == null || at(e) < at(prev)) && (best == null || at(e) > at(best))) {
        best = e;
      }
    }
    return best;
  }
}
