package kafka_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine of a client behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
