package stream

// Topics holds the configured name of every topic.
type Topics struct {
	Webhook, Intent, StatusCheck   string
	OrderState, CustomerState      string
	Transition, Discrepancy        string
	CheckSchedule, LaneState       string
	ReconcilerPosition, DeadLetter string
}

// DefaultTopics names every topic under a prefix, "ramp." by default.
func DefaultTopics(prefix string) Topics {
	return Topics{
		Webhook: prefix + "webhook.v1", Intent: prefix + "intent.v1", StatusCheck: prefix + "status-check.v1",
		OrderState: prefix + "order-state.v1", CustomerState: prefix + "customer-state.v1",
		Transition: prefix + "transition.v1", Discrepancy: prefix + "discrepancy.v1",
		CheckSchedule: prefix + "check-schedule.v1", LaneState: prefix + "lane-state.v1",
		ReconcilerPosition: prefix + "reconciler-position.v1", DeadLetter: prefix + "dead-letter.v1",
	}
}

// Inputs are the topics that the reconciler joins.
func (t Topics) Inputs() []string { return []string{t.Webhook, t.Intent, t.StatusCheck} }

// CoPartitioned are the topics that must have one partition count, and whose
// records of one key stand in one partition number.
func (t Topics) CoPartitioned() []string {
	return []string{t.Webhook, t.Intent, t.StatusCheck, t.OrderState, t.CustomerState, t.Transition, t.ReconcilerPosition}
}

// All lists every topic, inputs first.
func (t Topics) All() []string {
	return append(t.CoPartitioned(), t.Discrepancy, t.CheckSchedule, t.LaneState, t.DeadLetter)
}
