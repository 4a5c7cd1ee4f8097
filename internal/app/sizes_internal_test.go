package app

import (
	"strconv"
	"testing"

	"rampstream/internal/config"
	"rampstream/internal/kafka"
)

// No setting that is accepted has ingest refuse topics as rampctl topics apply
// makes them: the message would tell to apply again, for ever. A raw body that a
// dead letter has no room for is told by its digest.
func TestLargest_fitsTheTopicsAsTheyAreMade(t *testing.T) {
	c := config.Default()
	c.DeadLetter.RawBodies, c.Ingest.MaxBody = true, 1<<20
	least := largest(c)
	for _, s := range kafka.Specs(c.Topics.Names(), 1, 1) {
		takes, err := strconv.Atoi(s.Configs["max.message.bytes"])
		if err != nil {
			t.Fatal(err)
		}
		if least[s.Name] > takes {
			t.Errorf("ingest wants %d bytes of %s, which is made to take %d", least[s.Name], s.Name, takes)
		}
	}
}
