package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"rampstream/internal/app"
	"rampstream/internal/codec"
	"rampstream/internal/config"
	"rampstream/internal/events"
	"rampstream/internal/providers"
	"rampstream/internal/stream"
)

// The kinds of lines of a saved run. A reader passes over other lines, so that
// they may stand in the history of what led to it.
const (
	lineRun    = "run"
	lineRecord = "record"
)

// savedRun is the line that everything but the records is in. Secrets are not
// saved: silence cannot be checked again.
type savedRun struct {
	What         string                    `json:"what"`
	Topics       config.Topics             `json:"topics"`
	Rules        config.Rules              `json:"rules"`
	Accounts     []providers.Account       `json:"accounts"` // their secrets print as "[redacted]"
	Partitions   int32                     `json:"partitions"`
	Stable, High map[string][]int64        `json:",omitempty"`
	Schemas      map[int]string            `json:"schemas"`
	IDs          map[string]int            `json:"ids"`
	Receipts     []Receipt                 `json:"receipts"`
	Expected     map[string]string         `json:"expected"`
	Requests     map[events.Lane][]Request `json:"requests,omitempty"`
	SharedEpochs bool                      `json:"shared_epochs"`
	AtLeastOnce  bool                      `json:"at_least_once"`
}

// savedRecord is one record of All.
type savedRecord struct {
	What      string        `json:"what"`
	Record    stream.Record `json:"record"`
	Writer    Writer        `json:"writer"`
	Committed bool          `json:"committed"`
}

// Save writes a run as JSON lines, for Load.
func Save(ctx context.Context, w io.Writer, run Run) error {
	enc := json.NewEncoder(w)
	s := savedRun{
		What: lineRun, Topics: run.Settings.Topics, Rules: run.Settings.Rules, Accounts: run.Settings.Accounts, Partitions: run.Partitions, Stable: run.Stable, High: run.High,
		Schemas: map[int]string{}, IDs: map[string]int{}, Receipts: run.Receipts, Expected: map[string]string{}, Requests: run.Requests,
		SharedEpochs: run.SharedEpochs, AtLeastOnce: run.AtLeastOnce,
	}
	for k, st := range run.Expected {
		s.Expected[k.String()] = st.String()
	}
	for _, sub := range app.Subjects(run.Topics) {
		for _, parts := range run.All[sub.Topic] {
			for _, r := range parts {
				if err := s.keepSchema(ctx, run, sub.Schema, r.Value); err != nil {
					return err
				}
			}
		}
	}
	if err := enc.Encode(s); err != nil {
		return err
	}
	for _, t := range run.Topics.All() {
		visible := map[coordinate]bool{}
		run.Each(t, func(r stream.Record) { visible[at(r)] = true })
		for n, records := range run.All[t] {
			for _, r := range records {
				if err := enc.Encode(savedRecord{lineRecord, r, run.Writers[t][n][r.Offset], visible[at(r)]}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *savedRun) keepSchema(ctx context.Context, run Run, name string, value []byte) (err error) {
	id, ok := codec.SchemaID(value)
	if !ok || s.Schemas[id] != "" {
		return nil
	}
	s.IDs[name] = id
	s.Schemas[id], err = run.Schema(ctx, id)
	return err
}

// SchemaByID implements codec.Resolver.
func (s *savedRun) SchemaByID(_ context.Context, id int) (string, error) {
	if text := s.Schemas[id]; text != "" {
		return text, nil
	}
	return "", fmt.Errorf("schema %d: %w", id, codec.ErrUnknownSchema)
}

// Load reads a saved run. Lines of other kinds are passed over.
func Load(r io.Reader) (Run, error) {
	var s savedRun
	run := Run{Expected: map[events.Key]events.Status{}}
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil {
			return Run{}, err
		}
		switch {
		case bytes.HasPrefix(line, []byte(`{"what":"`+lineRun+`"`)):
			if err := json.Unmarshal(line, &s); err != nil {
				return Run{}, fmt.Errorf("saved run: %w", err)
			}
			if err := run.restore(&s); err != nil {
				return Run{}, err
			}
		case bytes.HasPrefix(line, []byte(`{"what":"`+lineRecord+`"`)):
			var rec savedRecord
			if err := json.Unmarshal(line, &rec); err != nil {
				return Run{}, fmt.Errorf("saved record: %w", err)
			}
			if err := run.add(rec); err != nil {
				return Run{}, err
			}
		}
	}
	if s.What == "" {
		return Run{}, errors.New("no run is saved there")
	}
	return run, nil
}

// restore sets all but the records.
func (r *Run) restore(s *savedRun) (err error) {
	r.Settings = config.Config{Topics: s.Topics, Rules: s.Rules, Accounts: s.Accounts}
	r.Topics, r.Partitions, r.Stable, r.High = s.Topics.Names(), s.Partitions, s.Stable, s.High
	r.Receipts, r.Requests, r.SharedEpochs, r.AtLeastOnce = s.Receipts, s.Requests, s.SharedEpochs, s.AtLeastOnce
	if r.Rules, err = app.Rules(r.Settings, Known()); err != nil {
		return err
	}
	if r.Codec, err = codec.New(s.IDs, s); err != nil {
		return err
	}
	r.Schema = s.SchemaByID
	for text, status := range s.Expected {
		key, err := events.ParseKey(text)
		if err != nil {
			return err
		}
		r.Expected[key], _ = events.ParseStatus(status)
	}
	r.Committed, r.All, r.Writers = map[string][][]stream.Record{}, map[string][][]stream.Record{}, map[string][]map[int64]Writer{}
	for _, t := range r.Topics.All() {
		r.Committed[t], r.All[t] = make([][]stream.Record, s.Partitions), make([][]stream.Record, s.Partitions)
		for range s.Partitions {
			r.Writers[t] = append(r.Writers[t], map[int64]Writer{})
		}
	}
	return nil
}

func (r *Run) add(rec savedRecord) error {
	x := rec.Record
	if x.Partition < 0 || x.Partition >= r.Partitions || len(r.All[x.Topic]) == 0 {
		return fmt.Errorf("saved record %s before its run, or of another", at(x))
	}
	r.All[x.Topic][x.Partition] = append(r.All[x.Topic][x.Partition], x)
	r.Writers[x.Topic][x.Partition][x.Offset] = rec.Writer
	if rec.Committed {
		r.Committed[x.Topic][x.Partition] = append(r.Committed[x.Topic][x.Partition], x)
	}
	return nil
}
