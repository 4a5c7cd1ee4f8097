package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/kafka"
	"rampstream/internal/stream"
)

// Where the broker's words do not say what to do, ours do.
func TestClassify_saysWhatToDo(t *testing.T) {
	for err, want := range map[error]string{
		kerr.SecurityDisabled:         "has no authorizer",
		kerr.InvalidReplicationFactor: "topics.replication",
		kerr.TopicAuthorizationFailed: "rampctl acls plan",
	} {
		if got := kafka.Classify(fmt.Errorf("create: %w", err)); !errors.Is(got, stream.ErrRefused) || !strings.Contains(got.Error(), want) {
			t.Errorf("Classify(%v) = %v; want ErrRefused with %q", err, got, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want error // nil: no class
	}{
		{kerr.MessageTooLarge, stream.ErrTooLarge},
		{kerr.RecordListTooLarge, stream.ErrTooLarge},

		{kerr.NotEnoughReplicas, stream.ErrTransient},
		{kerr.NotEnoughReplicasAfterAppend, stream.ErrTransient},
		{kerr.LeaderNotAvailable, stream.ErrTransient},
		{kerr.NotLeaderForPartition, stream.ErrTransient},
		{kerr.RequestTimedOut, stream.ErrTransient},
		{kerr.NetworkException, stream.ErrTransient},
		{kerr.CoordinatorNotAvailable, stream.ErrTransient},
		{kerr.CoordinatorLoadInProgress, stream.ErrTransient},
		{kerr.NotCoordinator, stream.ErrTransient},
		{kerr.KafkaStorageError, stream.ErrTransient},
		{kerr.ThrottlingQuotaExceeded, stream.ErrTransient},
		{kerr.UnstableOffsetCommit, stream.ErrTransient},
		{kerr.OffsetNotAvailable, stream.ErrTransient},
		{kerr.CorruptMessage, stream.ErrTransient},
		{kerr.UnknownServerError, stream.ErrTransient},
		{kerr.RebalanceInProgress, stream.ErrTransient},
		{kerr.IllegalGeneration, stream.ErrTransient},
		{kerr.UnknownMemberID, stream.ErrTransient},
		{kerr.ConcurrentTransactions, stream.ErrTransient},
		{kerr.TransactionAbortable, stream.ErrTransient},
		{kerr.OperationNotAttempted, stream.ErrTransient},
		{kerr.OutOfOrderSequenceNumber, stream.ErrTransient},

		{kerr.UnknownTopicOrPartition, stream.ErrRefused},
		{kerr.UnknownTopicID, stream.ErrRefused},
		{kerr.InvalidTopicException, stream.ErrRefused},
		{kerr.TopicAuthorizationFailed, stream.ErrRefused},
		{kerr.GroupAuthorizationFailed, stream.ErrRefused},
		{kerr.ClusterAuthorizationFailed, stream.ErrRefused},
		{kerr.TransactionalIDAuthorizationFailed, stream.ErrRefused},
		{kerr.SaslAuthenticationFailed, stream.ErrRefused},
		{kerr.UnsupportedSaslMechanism, stream.ErrRefused},
		{kerr.InvalidTransactionTimeout, stream.ErrRefused},
		{kerr.InvalidSessionTimeout, stream.ErrRefused},
		{kerr.InconsistentGroupProtocol, stream.ErrRefused},
		{kerr.InvalidTimestamp, stream.ErrRefused},
		{kerr.PolicyViolation, stream.ErrRefused},
		{kerr.UnsupportedVersion, stream.ErrRefused},

		{kerr.ProducerFenced, stream.ErrFenced},
		{kerr.InvalidProducerEpoch, stream.ErrFenced},
		{kerr.InvalidTxnState, stream.ErrFenced},
		{kerr.InvalidProducerIDMapping, stream.ErrFenced},
		{kerr.FencedInstanceID, stream.ErrFenced},

		{kerr.OffsetOutOfRange, stream.ErrLoss},
		{&kgo.ErrDataLoss{Topic: "t"}, stream.ErrLoss},

		{kgo.ErrMaxBuffered, stream.ErrTransient},
		{kgo.ErrRecordTimeout, stream.ErrTransient},
		{kgo.ErrRecordRetries, stream.ErrTransient},
		{&kgo.ErrFirstReadEOF{}, stream.ErrTransient},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, stream.ErrTransient},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, stream.ErrTransient},
		{io.EOF, stream.ErrTransient},
		{context.DeadlineExceeded, stream.ErrTransient},
		{x509.UnknownAuthorityError{}, stream.ErrRefused},
		{&tls.CertificateVerificationError{Err: errors.New("x")}, stream.ErrRefused},

		{context.Canceled, nil},
		{kgo.ErrClientClosed, nil},
		{kerr.InvalidRequest, nil},
		{errors.New("a fault of the program"), nil},
	} {
		t.Run(fmt.Sprint(tc.err), func(t *testing.T) {
			for _, err := range []error{tc.err, fmt.Errorf("wrapped: %w", tc.err), &kgo.ErrGroupSession{Err: tc.err}} {
				got := kafka.Classify(err)
				if !errors.Is(got, tc.err) {
					t.Errorf("Classify(%v) = %v lost its cause", err, got)
				}
				for _, class := range []error{stream.ErrTransient, stream.ErrTooLarge, stream.ErrRefused, stream.ErrFenced, stream.ErrLoss} {
					if errors.Is(got, class) != (class == tc.want) {
						t.Errorf("Classify(%v) is %v: %v, want class %v", err, class, errors.Is(got, class), tc.want)
					}
				}
				if again := kafka.Classify(got); again != got {
					t.Errorf("Classify is not idempotent: %v", again)
				}
			}
		})
	}
	if !errors.Is(kafka.Classify(kerr.InvalidTimestamp), stream.ErrClock) || errors.Is(kafka.Classify(kerr.PolicyViolation), stream.ErrClock) {
		t.Error("a refused timestamp, and nothing else, is ErrClock")
	}
	if kafka.Classify(nil) != nil {
		t.Error("Classify(nil) != nil")
	}
}
