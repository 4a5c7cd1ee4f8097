package reconciler_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rampstream/internal/codec"
	"rampstream/internal/events"
	"rampstream/internal/reconciler"
	"rampstream/internal/stream"
	"rampstream/internal/table"
	"rampstream/internal/table/slab"
)

// crowd is a world in which every partition has records of some subjects.
func crowd(t *testing.T) (*world, []stream.Record) {
	w := newWorld(t)
	w.now = minute(9)
	for i := range 40 {
		w.append(w.hook(fmt.Sprint("o", i), "wait", minute(1), events.TrustSigned))
	}
	return w, w.poll(rand.New(rand.NewPCG(3, 3)), 99)
}

// However many join, what a batch writes is in the order of its stages.
func TestEngine_joinersKeepTheOrderOfStages(t *testing.T) {
	w, recs := crowd(t)
	b, err := w.eng.Step(t.Context(), recs, true)
	if err != nil {
		t.Fatal(err)
	}
	stage := func(topic string) int {
		return slices.Index([]string{topics.OrderState, topics.ReconcilerPosition}, topic)
	}
	if !slices.IsSortedFunc(b.Out, func(a, b stream.Record) int { return stage(a.Topic) - stage(b.Topic) }) {
		t.Errorf("a state or a position before its stage: %v", topicsOf(b.Out))
	}
	n := map[string]int{}
	for _, r := range b.Out {
		n[r.Topic]++
	}
	if n[topics.OrderState] != 40 || n[topics.ReconcilerPosition] != partitions {
		t.Errorf("written: %v", n)
	}
}

func topicsOf(rs []stream.Record) (out []string) {
	for _, r := range rs {
		out = append(out, r.Topic)
	}
	return out
}

// The record behind any output is found, whoever joined it and whether it was
// given early or not.
func TestEngine_Poison_amongJoiners(t *testing.T) {
	for _, taken := range []int{0, 7, 1000} {
		for i := 0; ; i++ {
			w, recs := crowd(t)
			left := taken
			b, err := w.eng.StepEarly(t.Context(), recs, true, func(out []stream.Record) bool {
				left -= len(out)
				return left >= 0
			})
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(b.Out) {
				break
			}
			bad := b.Out[i]
			if ok := w.eng.Poison(i, reconciler.ClassTooLarge); ok != (bad.Topic != topics.ReconcilerPosition) {
				t.Fatalf("Poison of a record of %s = %v", bad.Topic, ok)
			} else if !ok {
				continue
			}
			w.eng.Rollback()
			dead := 0
			for _, r := range w.step(recs, false).Out {
				if r.Topic == topics.DeadLetter {
					if dead++; string(r.Key) != string(bad.Key) {
						t.Errorf("output %d is of %s, and %s is set aside", i, bad.Key, r.Key)
					}
				}
			}
			if dead != 1 {
				t.Errorf("output %d: %d records set aside", i, dead)
			}
		}
	}
}

// Where joiners fail, the failure that nothing cures is told, and nothing of the
// batch is applied.
func TestEngine_joinersFail(t *testing.T) {
	disk := errors.New("disk gone")
	for _, whole := range []int32{-1, 0, 1, 2, 3} { // the partition whose table works
		w, recs := crowd(t)
		w.codec = withRegistry(t, func(id int) (string, error) {
			if id == foreign {
				return "", errors.New("the registry is down")
			}
			return byID{}.SchemaByID(t.Context(), id)
		})
		w.eng = newEngine(reconciler.Config{Topics: topics, Partitions: partitions, Rules: w.rules, Codec: w.codec, VerifyDigest: true, Joiners: partitions,
			OpenTable: func(n int32) (table.Table, error) {
				if n != whole && whole >= 0 {
					return failing{slab.New(), disk}, nil
				}
				return slab.New(), nil
			}})
		for n := range int32(partitions) {
			if err := w.restore(n); err != nil {
				t.Fatal(err)
			}
		}
		unread := slices.Clone(recs)
		for i, r := range unread { // schemas that cannot be had, in some or in all partitions
			if r.Partition == whole || whole < 0 {
				unread[i].Value = append([]byte{0, 0, 0, foreign >> 8, foreign & 255}, r.Value[5:]...)
			}
		}
		_, err := w.eng.Step(t.Context(), unread, true)
		if whole < 0 && !errors.Is(err, codec.ErrSchemaUnavailable) || whole >= 0 && !errors.Is(err, disk) {
			t.Errorf("the table of partition %d works: Step = %v", whole, err)
		}
		if whole >= 0 {
			continue
		}
		if b := w.step(recs, true); w.eng.States() != 40 || len(b.Out) < 40 {
			t.Errorf("the next step: %d states, %s", w.eng.States(), strings.Join(topicsOf(b.Out), " "))
		}
	}
}

// Who has taken no more is not asked again, also where the step begins again.
func TestEngine_StepEarly_refusedOnce(t *testing.T) {
	for joiners := range 3 {
		w, _ := crowd(t)
		w.joiners = joiners
		w.nervous()
		w.append(w.hook("o3", "done", minute(2), events.TrustSigned)) // behind the others, it panics
		asked := 0
		_, err := w.eng.StepEarly(t.Context(), first(w, 99), true, func([]stream.Record) bool { asked++; return false })
		if err != nil || asked != 1 {
			t.Errorf("%d joiners: asked %d times, %v", joiners, asked, err)
		}
	}
}

// failing is a table whose reads fail.
type failing struct {
	table.Table
	err error
}

func (f failing) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, f.err }
