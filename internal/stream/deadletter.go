package stream

import "strconv"

// Header names of a dead letter, those of Kafka Connect.
const (
	HeaderErrTopic     = "__connect.errors.topic"
	HeaderErrPartition = "__connect.errors.partition"
	HeaderErrOffset    = "__connect.errors.offset"
	HeaderErrConnector = "__connect.errors.connector.name"
	HeaderErrStage     = "__connect.errors.stage"
	HeaderErrClass     = "__connect.errors.exception.class.name"
	HeaderErrMessage   = "__connect.errors.exception.message"
)

// DeadLetter is the record that sets src aside in topic dead: same key, value
// and headers, with where it came from and why. class is one word of a closed
// set ("WRONG_PARTITION", "UNDECODABLE", ...); message must be safe to keep.
func DeadLetter(dead string, src Record, program, stage, class, message string) Record {
	h := append([]Header(nil), src.Headers...)
	h = append(h,
		Header{HeaderErrTopic, []byte(src.Topic)},
		Header{HeaderErrPartition, strconv.AppendInt(nil, int64(src.Partition), 10)},
		Header{HeaderErrOffset, strconv.AppendInt(nil, src.Offset, 10)},
		Header{HeaderErrConnector, []byte(program)},
		Header{HeaderErrStage, []byte(stage)},
		Header{HeaderErrClass, []byte(class)},
		Header{HeaderErrMessage, []byte(message)},
	)
	return Record{Topic: dead, Partition: Auto, Key: src.Key, Value: src.Value, Headers: h}
}
