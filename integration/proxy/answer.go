package proxy

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// decodeAnswer reads an answer.
func decodeAnswer(was pending, frame []byte) (kmsg.Response, error) {
	resp := kmsg.ResponseForKey(int16(was.key))
	if resp == nil {
		return nil, fmt.Errorf("proxy: no answer of key %d", was.key)
	}
	resp.SetVersion(was.version)
	body := frame[8:]
	// An answer to ApiVersions never has a flexible header, and one to a version
	// that the broker does not know has the form of version 0.
	if was.key == kmsg.ApiVersions {
		if len(body) >= 2 && binary.BigEndian.Uint16(body) != 0 {
			resp.SetVersion(0)
		}
	} else if resp.IsFlexible() {
		body = skipTags(body)
	}
	return resp, resp.ReadFrom(body)
}

// respond is an answer as it goes over the wire.
func respond(h header, resp kmsg.Response) []byte {
	frame := binary.BigEndian.AppendUint32(make([]byte, 4, 256), uint32(h.correlation))
	if h.key != kmsg.ApiVersions && resp.IsFlexible() {
		frame = append(frame, 0)
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// edit changes what names brokers, and what a rule wants changed.
func (l *link) edit(was pending, frame []byte) ([]byte, error) {
	change := was.rule != nil && was.rule.Edit != nil
	if !change && !named(was.key) {
		return frame, nil
	}
	resp, err := decodeAnswer(was, frame)
	if err != nil {
		return nil, err
	}
	if named(was.key) {
		if err := l.p.rewrite(resp); err != nil {
			return nil, err
		}
	}
	if change {
		was.rule.Edit(resp)
	}
	return respond(header{key: was.key, correlation: int32(binary.BigEndian.Uint32(frame[4:]))}, resp), nil
}

// codeOf is the error code of an answer: the first one that is not 0 where there
// are several, -1 where it cannot be read.
func codeOf(was pending, frame []byte) int16 {
	resp, err := decodeAnswer(was, frame)
	if err != nil {
		return -1
	}
	var codes []int16
	switch r := resp.(type) {
	case *kmsg.EndTxnResponse:
		codes = append(codes, r.ErrorCode)
	case *kmsg.InitProducerIDResponse:
		codes = append(codes, r.ErrorCode)
	case *kmsg.AddOffsetsToTxnResponse:
		codes = append(codes, r.ErrorCode)
	case *kmsg.AddPartitionsToTxnResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	case *kmsg.ProduceResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	case *kmsg.TxnOffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	default:
		return -1
	}
	if i := slices.IndexFunc(codes, func(code int16) bool { return code != 0 }); i >= 0 {
		return codes[i]
	}
	return 0
}

// OldTransactions is a rule that hides from clients that the cluster has
// transaction.version 2, so that they keep to the protocol before it: an epoch
// lives for as long as its producer.
func OldTransactions(client string) *Rule {
	return &Rule{Key: kmsg.ApiVersions, Client: client, Edit: func(resp kmsg.Response) {
		r, ok := resp.(*kmsg.ApiVersionsResponse)
		if !ok {
			return
		}
		var kept []kmsg.ApiVersionsResponseFinalizedFeature
		for _, f := range r.FinalizedFeatures {
			if f.Name != "transaction.version" {
				kept = append(kept, f)
			}
		}
		r.FinalizedFeatures = kept
	}}
}
