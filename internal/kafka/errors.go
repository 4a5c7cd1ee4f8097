package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"rampstream/internal/stream"
)

// RecordError says which record of a Commit failed, so that the caller can
// replace it (a dead letter for one that is too large) and try again.
type RecordError struct {
	Index int    // in the slice that was handed to Commit
	Topic string // of that record
	Err   error  // classified
	// Standing: at least once, a part of the last stages may be written. What the
	// caller has is older than that, so it must join the same records again, all of
	// them and no others, and call Commit before Poll.
	Standing bool
}

// Error names the record by its index and topic, never by its content.
func (e *RecordError) Error() string {
	return fmt.Sprintf("record %d to %s: %v", e.Index, e.Topic, e.Err)
}

// Unwrap gives the classified cause.
func (e *RecordError) Unwrap() error { return e.Err }

// BatchStands is Standing, for callers that do not import this package.
func (e *RecordError) BatchStands() bool { return e.Standing }

// RecordIndex is Index, for callers that do not import this package.
func (e *RecordError) RecordIndex() int { return e.Index }

// Classify puts the class of err, one of stream's sentinels, in front of it. An
// error that already has a class, or that has none, is returned as it is.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []error{stream.ErrTransient, stream.ErrTooLarge, stream.ErrRefused, stream.ErrFenced, stream.ErrLoss} {
		if errors.Is(err, c) {
			return err
		}
	}
	var ke *kerr.Error
	if errors.As(err, &ke) && unauthorized[ke] {
		return refusedRight(err)
	}
	if c := classOf(err); c != nil {
		if hint := hints[ke]; hint != "" {
			return fmt.Errorf("%w: %s: %w", c, hint, err)
		}
		return fmt.Errorf("%w: %w", c, err)
	}
	return err
}

// hints say what an operator can do where the broker's words do not.
var hints = map[*kerr.Error]string{
	kerr.SecurityDisabled:         "the cluster has no authorizer, so there are no rights to give (rampctl acls plan --offline lists those that one would ask for)",
	kerr.InvalidReplicationFactor: "topics.replication is more than the cluster has brokers",
}

// wrap classifies err and says what was being done to what.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, Classify(err))
}

// classOf decides by type and code, never by text. nil means that the error is
// the program's own fault or its shutdown.
func classOf(err error) error {
	var loss *kgo.ErrDataLoss
	if errors.As(err, &loss) {
		return stream.ErrLoss
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return classOfCode(ke)
	}
	if isTrustFailure(err) {
		return stream.ErrRefused
	}
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered), errors.Is(err, kgo.ErrRecordTimeout),
		errors.Is(err, kgo.ErrRecordRetries), errors.Is(err, kgo.ErrAborting):
		return stream.ErrTransient
	case errors.Is(err, context.DeadlineExceeded):
		return stream.ErrTransient
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return nil
	}
	var netErr net.Error
	var eof *kgo.ErrFirstReadEOF
	if kgo.IsRetryableBrokerErr(err) || errors.As(err, &netErr) || errors.As(err, &eof) {
		return stream.ErrTransient
	}
	return nil
}

// isTrustFailure reports a TLS handshake that no retry repairs.
func isTrustFailure(err error) bool {
	var (
		alert    tls.AlertError
		header   tls.RecordHeaderError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
	)
	return errors.As(err, &alert) || errors.As(err, &header) || errors.As(err, &unknown) ||
		errors.As(err, &hostname) || errors.As(err, &invalid) || errors.As(err, &verify) || peerRefuses(err)
}

// refusals are the TLS alerts by which a peer refuses us for good: our certificate,
// that there is none, or what we can speak.
var refusals = map[tls.AlertError]bool{
	40: true, 42: true, 43: true, 44: true, 45: true, 46: true, 48: true, 49: true, // handshake failure to access denied
	70: true, 71: true, 112: true, 116: true, // version, security, name, certificate required
}

// peerRefuses reports one of them. The standard library keeps the type of an alert
// that it received to itself, and shows it as AlertError only to QUIC.
func peerRefuses(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return false
	}
	v := reflect.ValueOf(op.Err)
	return v.Kind() == reflect.Uint8 && refusals[tls.AlertError(v.Uint())]
}

// classes maps every broker code that a program may meet and that is not simply
// "retriable" by the protocol's own table.
var classes = map[*kerr.Error]error{
	kerr.MessageTooLarge:    stream.ErrTooLarge,
	kerr.RecordListTooLarge: stream.ErrTooLarge,

	// Retriable by the protocol, but the client already retried: the topic is
	// missing or another one under the same name.
	kerr.UnknownTopicOrPartition: stream.ErrRefused,
	kerr.UnknownTopicID:          stream.ErrRefused,
	kerr.InconsistentTopicID:     stream.ErrRefused,

	kerr.TopicAuthorizationFailed:           stream.ErrRefused,
	kerr.GroupAuthorizationFailed:           stream.ErrRefused,
	kerr.ClusterAuthorizationFailed:         stream.ErrRefused,
	kerr.TransactionalIDAuthorizationFailed: stream.ErrRefused,
	kerr.DelegationTokenAuthorizationFailed: stream.ErrRefused,
	kerr.SaslAuthenticationFailed:           stream.ErrRefused,
	kerr.UnsupportedSaslMechanism:           stream.ErrRefused,
	kerr.IllegalSaslState:                   stream.ErrRefused,
	kerr.SecurityDisabled:                   stream.ErrRefused,
	kerr.InvalidTopicException:              stream.ErrRefused,
	kerr.InvalidRequiredAcks:                stream.ErrRefused,
	kerr.InvalidGroupID:                     stream.ErrRefused,
	kerr.InvalidSessionTimeout:              stream.ErrRefused,
	kerr.InvalidTransactionTimeout:          stream.ErrRefused,
	kerr.InconsistentGroupProtocol:          stream.ErrRefused,
	kerr.GroupMaxSizeReached:                stream.ErrRefused,
	kerr.UnsupportedVersion:                 stream.ErrRefused,
	kerr.UnsupportedForMessageFormat:        stream.ErrRefused,
	kerr.UnsupportedCompressionType:         stream.ErrRefused,
	kerr.PolicyViolation:                    stream.ErrRefused,
	kerr.InvalidRecord:                      stream.ErrRefused,
	kerr.InvalidConfig:                      stream.ErrRefused,
	kerr.InvalidPartitions:                  stream.ErrRefused,
	kerr.InvalidReplicationFactor:           stream.ErrRefused,
	// Brokers from 4.0 on refuse a timestamp more than an hour ahead: this
	// host's clock is wrong, and a retry would carry the same one.
	kerr.InvalidTimestamp: stream.ErrClock,

	kerr.ProducerFenced:               stream.ErrFenced,
	kerr.InvalidProducerEpoch:         stream.ErrFenced,
	kerr.InvalidTxnState:              stream.ErrFenced,
	kerr.InvalidProducerIDMapping:     stream.ErrFenced,
	kerr.UnknownProducerID:            stream.ErrFenced,
	kerr.TransactionCoordinatorFenced: stream.ErrFenced,
	kerr.FencedInstanceID:             stream.ErrFenced,
	kerr.FencedMemberEpoch:            stream.ErrFenced,
	kerr.UnreleasedInstanceID:         stream.ErrFenced,

	kerr.OffsetOutOfRange:           stream.ErrLoss,
	kerr.OffsetMovedToTieredStorage: stream.ErrLoss,

	// Not retriable as requests, but the group or transaction recovers by
	// itself: rejoin, abort, a new epoch.
	kerr.IllegalGeneration:        stream.ErrTransient,
	kerr.UnknownMemberID:          stream.ErrTransient,
	kerr.MemberIDRequired:         stream.ErrTransient,
	kerr.RebalanceInProgress:      stream.ErrTransient,
	kerr.StaleMemberEpoch:         stream.ErrTransient,
	kerr.ConcurrentTransactions:   stream.ErrTransient,
	kerr.OperationNotAttempted:    stream.ErrTransient,
	kerr.TransactionAbortable:     stream.ErrTransient,
	kerr.OutOfOrderSequenceNumber: stream.ErrTransient,
	kerr.UnknownServerError:       stream.ErrTransient,
}

func classOfCode(e *kerr.Error) error {
	if c, ok := classes[e]; ok {
		return c
	}
	if e.Retriable {
		return stream.ErrTransient
	}
	return nil
}
