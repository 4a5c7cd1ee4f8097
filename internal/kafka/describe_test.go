package kafka_test

import (
	"errors"
	"testing"
	"time"

	"rampstream/internal/stream"
)

// A topic that was deleted and made anew has the same name and another id.
func TestLog_Describe(t *testing.T) {
	cfg, kc := start(t, 1, "a", "b")
	l := openLog(t, cfg)
	first, err := l.Describe(patient(t), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	a, b := first["a"], first["b"]
	if a.ID == "" || a.ID == b.ID || a.Cluster == "" || a.Cluster != b.Cluster || a.TombstonesKept != 24*time.Hour {
		t.Errorf("Describe = %+v; want ids, one cluster and the default of a day", first)
	}
	if err := kc.DeleteTopic("a"); err != nil {
		t.Fatal(err)
	}
	if err := kc.CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	again, err := l.Describe(patient(t), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if again["a"].ID == a.ID || again["b"] != b {
		t.Errorf("after one was made anew: %+v, before: %+v", again, first)
	}
	if _, err := l.Describe(patient(t), "gone"); !errors.Is(err, stream.ErrRefused) {
		t.Errorf("Describe of no topic = %v, want ErrRefused", err)
	}
}
