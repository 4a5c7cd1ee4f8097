package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"rampstream/internal/kafka"
)

func owner(id string, leave bool) kafka.GroupOptions {
	o := groupOptions(id)
	o.LeaveOnClose = leave
	return o
}

func membersOf(t *testing.T, cfg kafka.Config, group string) []kadm.DescribedGroupMember {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	described, err := kadm.NewClient(cl).DescribeGroups(patient(t), group)
	if err != nil {
		t.Fatal(err)
	}
	return described[group].Members
}

func TestGroup_Close_leaves(t *testing.T) {
	cfg, _ := start(t, 2, "lanes")
	one, two := newTable(t), newTable(t)
	g1 := openGroup(t, cfg, owner("1", true), one)
	eventually(t, "the first member owns", func() bool { turn(t, g1); return g1.Lease() && one.holds() == 2 })
	g2 := openGroup(t, cfg, owner("2", true), two)
	eventually(t, "both own one", func() bool { turn(t, g1); turn(t, g2); return one.holds() == 1 && two.holds() == 1 })
	g1.Close()
	eventually(t, "the second owns all, long before the session ends", func() bool { turn(t, g2); return two.holds() == 2 && g2.Lease() })
}

func TestGroup_Close_keepsThePlace(t *testing.T) {
	cfg, _ := start(t, 2, "lanes")
	g := openGroup(t, cfg, owner("1", false), newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g); return g.Lease() })
	g.Close()
	if got := membersOf(t, cfg, "owners"); len(got) != 1 || got[0].InstanceID == nil || *got[0].InstanceID != "1" {
		t.Errorf("members after Close = %+v, want the instance that will come back", got)
	}
}

// A member that is stopped after another one took its name must not take that
// one's place away: its lease would run on while somebody else is given its
// lanes. A broker fences who names an instance with a member id that is not its
// present one; the embedded one looks at the instance alone, so the request is
// what is looked at here.
func TestGroup_Close_namesItselfNotItsSuccessor(t *testing.T) {
	cfg, kc := start(t, 2, "lanes")
	g1 := openGroup(t, cfg, owner("1", true), newTable(t))
	eventually(t, "a lease", func() bool { turn(t, g1); return g1.Lease() })
	first := membersOf(t, cfg, "owners")[0].MemberID
	g2 := openGroup(t, cfg, owner("1", true), newTable(t))
	eventually(t, "the successor's lease", func() bool { turn(t, g2); return g2.Lease() })
	second := membersOf(t, cfg, "owners")[0].MemberID
	asked := make(chan *kmsg.LeaveGroupRequest, 1)
	kc.ControlKey(int16(kmsg.LeaveGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.LeaveGroupRequest)
		asked <- req
		resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		resp.ErrorCode = kerr.FencedInstanceID.Code
		return resp, nil, true
	})
	g1.Close()
	req := <-asked
	if m := req.Members[0]; len(req.Members) != 1 || m.InstanceID == nil || *m.InstanceID != "1" || m.MemberID != first || first == second {
		t.Errorf("asked to leave as %+v; want instance 1 as member %s, not %s", req.Members, first, second)
	}
}
