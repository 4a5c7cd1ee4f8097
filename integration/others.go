package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rampstream/internal/stream"
)

// Disagree is the violation of "three readers agree".
const Disagree = "readers agree"

// A Reader is another client: a program that prints one line a partition.
type Reader struct {
	Name    string
	Command []string // without brokers, isolation level and topics
}

// OtherReaders are those that are installed here: librdkafka where KAFKA_PYTHON
// names an interpreter with the modules of integration/python/requirements.txt,
// Kafka's own client where scripts/kafka keeps its jars. root is that of the
// repository.
func OtherReaders(root string) []Reader {
	var out []Reader
	if py := os.Getenv("KAFKA_PYTHON"); py != "" {
		out = append(out, Reader{"librdkafka", []string{py, filepath.Join(root, "integration", "python", "read_digests.py")}})
	}
	cache := os.Getenv("KAFKA_CACHE")
	if cache == "" {
		cache = filepath.Join(root, ".kafka")
	}
	libs := filepath.Join(cache, "lib")
	if _, err := exec.LookPath("java"); err == nil {
		if jars, _ := filepath.Glob(filepath.Join(libs, "kafka-clients-*.jar")); len(jars) > 0 {
			out = append(out, Reader{"kafka-clients", []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
				"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(libs, "*"), filepath.Join(root, "integration", "java", "ReadDigests.java")}})
		}
	}
	return out
}

// Agree lets another client read every topic, once by each isolation level, and
// compares what it saw with the history. It returns a line for people.
func (r Reader) Agree(ctx context.Context, brokers []string, h History) (found []Violation, line string, err error) {
	records := 0
	for level, log := range map[string]map[string][][]stream.Record{"read_committed": h.Committed, "read_uncommitted": h.All} {
		args := append(append([]string(nil), r.Command[1:]...), strings.Join(brokers, ","), level)
		cmd := exec.CommandContext(ctx, r.Command[0], append(args, h.Topics.All()...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w\n%s", r.Name, err, stderr.String())
		}
		got := map[string]string{}
		for l := range strings.Lines(string(out)) {
			f := strings.Fields(l)
			if len(f) == 4 {
				got[f[0]+"-"+f[1]] = f[2] + " " + f[3]
			}
		}
		for topic, parts := range log {
			for n, rs := range parts {
				name := fmt.Sprintf("%s-%d", topic, n)
				if want := digestOf(rs); got[name] != want {
					found = append(found, Violation{Disagree, fmt.Sprintf("%s, %s: %s is %q, kgo reads %q", r.Name, level, name, got[name], want)})
				}
				records += len(rs)
			}
		}
	}
	return found, fmt.Sprintf("%s read %d records by both isolation levels, %d partitions of them otherwise than kgo", r.Name, records, len(found)), nil
}

// digestOf is the number of records and the hash that the other readers make.
func digestOf(rs []stream.Record) string {
	d := sha256.New()
	part := func(b []byte) {
		n := int32(-1)
		if b != nil {
			n = int32(len(b))
		}
		d.Write(binary.BigEndian.AppendUint32(nil, uint32(n)))
		d.Write(b)
	}
	for _, r := range rs {
		d.Write(binary.BigEndian.AppendUint64(nil, uint64(r.Offset)))
		part(r.Key)
		part(r.Value)
	}
	return fmt.Sprintf("%d %s", len(rs), hex.EncodeToString(d.Sum(nil)))
}
