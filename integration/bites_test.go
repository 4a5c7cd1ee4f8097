package integration_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"rampstream/integration"
	"rampstream/internal/events"
	"rampstream/internal/stream"
)

// bites shows the checker what it must find: a checker that finds nothing in a
// falsified history proves nothing about a true one.
func bites(t *testing.T, clean integration.Run) {
	t.Helper()
	topics := clean.Topics
	for _, m := range []struct {
		name    string
		falsify func(*integration.Run) bool // false: the run has nothing to falsify
		want    string
	}{
		{"acknowledged records are gone", func(r *integration.Run) bool {
			return edit(r, topics.Webhook, func([]stream.Record) []stream.Record { return nil })
		}, integration.Lost},
		{"a record stands in another partition", func(r *integration.Run) bool {
			parts := r.Committed[topics.Transition]
			from := slices.IndexFunc(parts, func(rs []stream.Record) bool { return len(rs) > 0 })
			to := (from + 1) % len(parts)
			moved := parts[from][0]
			moved.Partition = int32(to)
			parts[from], parts[to] = parts[from][1:], append(parts[to], moved)
			return true
		}, integration.Misplaced},
		{"a value has a byte too many", func(r *integration.Run) bool {
			return edit(r, topics.Discrepancy, func(rs []stream.Record) []stream.Record {
				rs[0].Value = append(bytes.Clone(rs[0].Value), 0)
				return rs
			})
		}, integration.Unreadable},
		{"a state is an older one", func(r *integration.Run) bool {
			return edit(r, topics.OrderState, func(rs []stream.Record) []stream.Record {
				for i, a := range rs {
					for j := len(rs) - 1; j > i; j-- {
						if bytes.Equal(a.Key, rs[j].Key) && !bytes.Equal(a.Value, rs[j].Value) {
							rs[j].Value = a.Value
							return rs
						}
					}
				}
				return rs
			})
		}, integration.WrongState},
		{"some inputs were never made", func(r *integration.Run) bool {
			return edit(r, topics.StatusCheck, func([]stream.Record) []stream.Record { return nil })
		}, integration.Invented},
		{"a state is missing", func(r *integration.Run) bool {
			return edit(r, topics.OrderState, func(rs []stream.Record) []stream.Record {
				return slices.DeleteFunc(rs, func(x stream.Record) bool { return bytes.Equal(x.Key, rs[0].Key) })
			})
		}, integration.WrongPosition},
		{"a transition is missing", func(r *integration.Run) bool {
			return edit(r, topics.Transition, func(rs []stream.Record) []stream.Record { return rs[1:] })
		}, integration.BrokenChain},
		{"a transition is missing, without transactions", func(r *integration.Run) bool {
			r.AtLeastOnce = true
			return edit(r, topics.Transition, func(rs []stream.Record) []stream.Record { return rs[1:] })
		}, integration.BrokenChain},
		{"a transition stands twice", func(r *integration.Run) bool {
			return edit(r, topics.Transition, func(rs []stream.Record) []stream.Record { return append(rs, rs[len(rs)-1]) })
		}, integration.Repeated},
		{"an input is neither joined nor set aside", func(r *integration.Run) bool {
			return edit(r, topics.Intent, func(rs []stream.Record) []stream.Record { rs[0].Value = []byte("x"); return rs })
		}, integration.Unaccounted},
		{"a transaction is open", func(r *integration.Run) bool {
			r.Stable = maps.Clone(r.Stable)
			r.Stable[topics.Transition] = append([]int64{-1}, r.Stable[topics.Transition][1:]...)
			return true
		}, integration.Hanging},
		{"half of a transaction is aborted", func(r *integration.Run) bool {
			r.Writers = maps.Clone(r.Writers)
			for _, topic := range []string{topics.Transition, topics.OrderState} {
				r.Writers[topic] = slices.Clone(r.Writers[topic])
				for n, rs := range r.All[topic] {
					r.Writers[topic][n] = map[int64]integration.Writer{}
					for _, x := range rs {
						r.Writers[topic][n][x.Offset] = integration.Writer{ID: 1, Transactional: true}
					}
				}
			}
			r.Committed[topics.Transition] = make([][]stream.Record, len(r.Committed[topics.Transition]))
			return true
		}, integration.Torn},
		{"evidence is gone from a state", func(r *integration.Run) bool {
			return edit(r, topics.OrderState, func(rs []stream.Record) []stream.Record {
				for i, a := range rs {
					for j := len(rs) - 1; j > i; j-- {
						if bytes.Equal(a.Key, rs[j].Key) && !bytes.Equal(a.Value, rs[j].Value) {
							a.Offset = rs[len(rs)-1].Offset + 1
							return append(rs, a)
						}
					}
				}
				return rs
			})
		}, integration.Shrunk},
		{"a task is missing", func(r *integration.Run) bool {
			return edit(r, topics.OrderState, func(rs []stream.Record) []stream.Record { return rs }) &&
				edit(r, topics.CheckSchedule, func([]stream.Record) []stream.Record { return nil })
		}, integration.WrongTask},
		{"a discrepancy is missing", func(r *integration.Run) bool {
			return edit(r, topics.Discrepancy, func(rs []stream.Record) []stream.Record {
				last := rs[len(rs)-1]
				return slices.DeleteFunc(rs, func(x stream.Record) bool { return last.Value != nil && bytes.Equal(x.Key, last.Key) })
			})
		}, integration.Disagreeing},
		{"a discrepancy is of no state", func(r *integration.Run) bool {
			for _, states := range []string{topics.OrderState, topics.CustomerState} {
				for n := range r.Committed[states] {
					r.Committed[states][n], r.All[states][n] = nil, nil
				}
			}
			return len(r.Committed[topics.Discrepancy]) > 0
		}, integration.Disagreeing},
		{"a provider was called too often", func(r *integration.Run) bool {
			return requests(r, func(all []integration.Request) []integration.Request {
				return slices.Repeat(all, 40)
			})
		}, integration.OverBudget},
		{"hints caused too many calls", func(r *integration.Run) bool {
			r.Settings.Accounts = slices.Clone(r.Settings.Accounts)
			for i := range r.Settings.Accounts {
				r.Settings.Accounts[i].Poll.HintRate = 0.01
			}
			return true
		}, integration.OverBudget},
		{"a provider was called before it wanted to be", func(r *integration.Run) bool {
			return requests(r, func(all []integration.Request) []integration.Request {
				return append(all, integration.Request{Start: all[0].Start, End: all[0].End, RetryAfter: time.Hour})
			})
		}, integration.Impatient},
		{"a provider says otherwise", func(r *integration.Run) bool {
			r.Expected = maps.Clone(r.Expected)
			for k := range r.Expected {
				r.Expected[k] = events.StatusOnHold
			}
			return true
		}, integration.Untrue},
		{"a secret stands in a record", func(r *integration.Run) bool {
			r.Secret = []string{string(r.Committed[topics.OrderState][0][0].Key)}
			return true
		}, integration.Leaked},
	} {
		run := clean
		run.Committed = copyOf(clean.Committed)
		run.All = copyOf(clean.All)
		if !m.falsify(&run) {
			t.Errorf("the run has nothing in which %s could be shown", m.name)
			continue
		}
		found, err := integration.Check(t.Context(), run)
		must(t, err)
		if !slices.ContainsFunc(found, func(v integration.Violation) bool { return v.Invariant == m.want }) {
			t.Errorf("%s: the checker found %v, want a violation of %q", m.name, found, m.want)
		}
	}
}

// savedAgain saves a run, and a falsified one, and checks what is loaded: a
// record of a run is as good as the run.
func savedAgain(t *testing.T, run integration.Run) {
	t.Helper()
	check := func(run integration.Run) (found []string) {
		var b bytes.Buffer
		must(t, integration.Save(t.Context(), &b, run))
		again, err := integration.Load(&b)
		must(t, err)
		violations, err := integration.Check(t.Context(), again)
		must(t, err)
		for _, v := range violations {
			found = append(found, v.Invariant)
		}
		return found
	}
	if found := check(run); len(found) > 0 {
		t.Errorf("the run was clean, saved and loaded it has %v", found)
	}
	run.Committed, run.All = copyOf(run.Committed), copyOf(run.All)
	edit(&run, run.Topics.Transition, func(rs []stream.Record) []stream.Record { return rs[1:] })
	if found := check(run); !slices.Contains(found, integration.BrokenChain) {
		t.Errorf("a transition is missing, saved and loaded the run has %v, want %q", found, integration.BrokenChain)
	}
	if _, err := integration.Load(bytes.NewBufferString("{}\n")); err == nil {
		t.Error("Load of nothing gives no error")
	}
}

// requests changes the busiest provider's record of what it was asked.
func requests(r *integration.Run, change func([]integration.Request) []integration.Request) bool {
	r.Requests = maps.Clone(r.Requests)
	var most events.Lane
	for lane, all := range r.Requests {
		if len(all) > len(r.Requests[most]) {
			most = lane
		}
	}
	if len(r.Requests[most]) < 50 {
		return false
	}
	r.Requests[most] = change(slices.Clone(r.Requests[most]))
	return true
}

func copyOf(log map[string][][]stream.Record) map[string][][]stream.Record {
	out := map[string][][]stream.Record{}
	for topic, parts := range log {
		for _, rs := range parts {
			out[topic] = append(out[topic], slices.Clone(rs))
		}
	}
	return out
}

// edit changes the fullest partition of a topic, as both readers see it.
func edit(r *integration.Run, topic string, change func([]stream.Record) []stream.Record) bool {
	for _, log := range []map[string][][]stream.Record{r.Committed, r.All} {
		parts, most := log[topic], 0
		for n := range parts {
			if len(parts[n]) > len(parts[most]) {
				most = n
			}
		}
		if len(parts[most]) == 0 {
			return false
		}
		parts[most] = change(parts[most])
	}
	return true
}
