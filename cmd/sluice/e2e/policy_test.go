package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

func tenantPrice(cents int) string {
	return fmt.Sprintf("kind: Tenant\nname: default\ntransferPrice: 0.%02d USD/GPU-h\n", cents)
}

// inForce applies a document through one server and waits until another shows
// its revision; it returns the time from the call on.
func (c *cluster) inForce(document string, at *server) (time.Duration, error) {
	began := time.Now()
	r, err := c.servers[0].ApplyPolicy(brief(c.h.t, 10*time.Second), &sluicev1.ApplyPolicyRequest{Document: document})
	if err != nil {
		return 0, err
	}
	poll(c.h.t, 5*time.Second, "the revision is in force", func() (bool, string) {
		st, err := c.status(at)
		return err == nil && st.ConfigRevision >= r.Revision, fmt.Sprint(st.GetConfigRevision(), " of ", r.Revision, err)
	})
	return time.Since(began), nil
}

// Policy is in force within a second of being applied. Without its store it is
// frozen and scheduling goes on; with the store back it can be changed again.
func TestPolicyStore(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := trio(h)
	c.policy(h.pool())
	c.agent("n1", "2xRTX 3080")
	poll(t, 20*time.Second, "n1 mines", func() (bool, string) { return len(h.works()) == 2, fmt.Sprint(h.works()) })

	var took []time.Duration
	for n := range 20 {
		d, err := c.inForce(tenantPrice(21+n), c.servers[n%3])
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, d)
	}
	s := spreadOf(took)
	figure(t, "policy apply called -> in force on any server: %v", s)
	if s.max > time.Second {
		t.Errorf("a policy was in force only after %s", s.max)
	}

	if err := c.etcd.Close(); err != nil {
		t.Fatal(err)
	}
	c.running(c.submit(strings.ReplaceAll(leasedJob, "lease: 3s", "lease: 1m")), 10*time.Second)
	file := h.write("tenant.yaml", tenantPrice(77))
	began := time.Now()
	a := c.cli().run("", "policy", "apply", "--yes", "-f", file)
	refused := time.Since(began)
	figure(t, "policy apply without etcd refused after %.1f s: %s", refused.Seconds(), strings.TrimSpace(a.err))
	if a.code != 6 || !strings.Contains(a.err, "etcd did not answer") || !strings.Contains(a.err, "scheduling goes on") {
		t.Errorf("policy apply without etcd: exit code %d\n%s", a.code, a.err)
	}
	if refused > 5*time.Second {
		t.Errorf("policy apply without etcd took %s", refused)
	}
	leader := c.leader()
	poll(t, 20*time.Second, "status tells that the policy store is gone", func() (bool, string) {
		st, err := c.status(leader)
		return err == nil && strings.Contains(st.ConfigState, "etcd did not answer"), fmt.Sprint(st.GetConfigState(), err)
	})

	c.openEtcd()
	back := time.Now()
	var d time.Duration
	poll(t, 10*time.Second, "policy can be applied again", func() (bool, string) {
		var err error
		d, err = c.inForce(tenantPrice(78), leader)
		return err == nil, fmt.Sprint(err)
	})
	figure(t, "etcd back -> policy applied and in force: %.0f ms, the last apply %.0f ms of it", float64(time.Since(back).Milliseconds()), float64(d.Milliseconds()))
	if d > time.Second {
		t.Errorf("after etcd came back a policy was in force only after %s", d)
	}
	poll(t, 10*time.Second, "status tells that the policy store is back", func() (bool, string) {
		st, err := c.status(leader)
		return err == nil && st.ConfigState == "ok", fmt.Sprint(st.GetConfigState(), err)
	})
	agree(t, c)
}
