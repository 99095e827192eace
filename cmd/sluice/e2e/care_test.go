package e2e

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

type membersAnswer struct {
	Leader  string `json:"leader"`
	Term    int64  `json:"term"`
	Frozen  bool   `json:"frozen"`
	Members []struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Voter bool   `json:"voter"`
	} `json:"members"`
}

// TestCareOfServers hands leadership over, freezes, saves, removes servers, and
// begins a new cluster from the backup.
func TestCareOfServers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	c := trio(h)
	admin := c.cli()
	c.policy("127.0.0.1:1")
	agent := c.agent("n1", "2xRTX 3080")
	c.ready("n1", 20*time.Second)
	job := c.submit("kind: Job\nname: kept\ngang: {gpus: 1}\nrun: {command: [sleep, \"60\"]}\n")

	c.running(job, 20*time.Second)
	poll(t, 15*time.Second, "doctor finds nothing that fails", func() (bool, string) {
		a := admin.run("", "doctor")
		return a.code == 0 && strings.Contains(a.out, "all 3 voters") && strings.Contains(a.out, "all 1 are heard"), a.out + a.err
	})
	if a := admin.run("", "node", "fence", "n1", "--yes"); a.code != 4 || !strings.Contains(a.err, "is heard") {
		t.Errorf("fencing a node that is heard: exit code %d, %s", a.code, a.err)
	}
	// Power off: the agent and all that it started are gone at one instant.
	agent.kill(t)
	for _, p := range h.left() {
		if len(p.args) > 1 && p.args[1] != "server" {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}

	var m membersAnswer
	admin.json(&m, "cluster", "status")
	if len(m.Members) != 3 || m.Leader == "" || m.Frozen {
		t.Fatalf("%+v", m)
	}
	to := "s2"
	if m.Leader == "s2" {
		to = "s3"
	}
	// Asked of one that does not lead: it passes the request on.
	one := cli{h: h, env: slices.Clone(admin.env)}
	for _, s := range c.servers {
		if s.id == to {
			one.env[0] = "SLUICE_ADDR=" + s.grpc
		}
	}
	var moved struct {
		From         string `json:"from"`
		Leader       string `json:"leader"`
		Milliseconds int64  `json:"milliseconds"`
	}
	one.json(&moved, "cluster", "transfer", to)
	if moved.From != m.Leader || moved.Leader != to {
		t.Fatalf("%+v", moved)
	}
	figure(t, "transfer of leadership n=1 %d ms", moved.Milliseconds)
	if a := one.run("", "cluster", "transfer", "s9"); a.code != 3 {
		t.Errorf("transfer to nobody: %d %s", a.code, a.err)
	}

	// A viewer may do none of it: identity tries every method, here the way is real.
	viewer := cli{h: h, env: append(slices.Clone(admin.env), "SLUICE_TOKEN="+admin.must("", "token", "person", "eve", "--role", "viewer"))}
	for _, args := range [][]string{{"cluster", "snapshot", "save", h.path("eve")}, {"node", "fence", "n1", "--yes"}} {
		if a := viewer.run("", args...); a.code != 5 {
			t.Errorf("viewer, %s: exit code %d, %s", strings.Join(args, " "), a.code, a.err)
		}
	}

	admin.must("", "cluster", "freeze", "--reason", "under test: \"quoted\"")
	poll(t, 5*time.Second, "frozen", func() (bool, string) {
		out := admin.must("", "cluster", "status")
		return strings.Contains(out, "Override/cluster-freeze: under test"), out
	})
	admin.must("", "cluster", "thaw")
	if a := admin.run("", "cluster", "thaw"); a.code != 3 {
		t.Errorf("thaw twice: exit code %d", a.code)
	}

	poll(t, 20*time.Second, "the node is unknown", func() (bool, string) { s := c.nodeState("n1"); return s == "unknown", s })
	if out := admin.must("", "node", "fence", "n1", "--yes"); !strings.Contains(out, "n1 is fenced; 1 job ended as lost") {
		t.Errorf("fence: %s", out)
	}
	if j := c.job(job); j.Phase != "queued" {
		t.Errorf("the job of a fenced node is %s: %v", j.Phase, j.Reason)
	}

	file := h.path("backup")
	admin.must("", "cluster", "snapshot", "save", file)
	var info struct {
		Index     int64            `json:"index"`
		Documents int64            `json:"documents"`
		Jobs      map[string]int64 `json:"jobs"`
	}
	admin.json(&info, "cluster", "snapshot", "inspect", file)
	if info.Index == 0 || info.Documents == 0 || info.Jobs["queued"] != 1 {
		t.Errorf("%+v", info)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if a := admin.run("", "cluster", "snapshot", "inspect", h.write("altered", string(data))); a.code != 7 || !strings.Contains(a.err, "altered") {
		t.Errorf("an altered backup: %d %s", a.code, a.err)
	}
	submitted := c.submit("kind: Job\nname: after\ngang: {gpus: 1}\nrun: {command: [sleep, \"60\"]}\n")

	// One of three is gone for good; then the others must not lose their quorum.
	var gone, leads *server
	for _, s := range c.servers {
		switch {
		case s.id == to:
			leads = s
		case gone == nil:
			gone = s
		}
	}
	gone.kill(t)
	if a := admin.run("", "doctor"); a.code != 1 || !strings.Contains(a.out, "fenced: n1") || !strings.Contains(a.out, "sluice cluster remove "+gone.id) {
		t.Errorf("doctor beside a dead server: exit code %d\n%s%s", a.code, a.out, a.err)
	}
	if a := admin.run("", "cluster", "remove", leads.id, "--yes"); a.code != 4 {
		t.Errorf("removing the leader: exit code %d, %s", a.code, a.err)
	}
	var other *server
	for _, s := range c.servers {
		if s != gone && s != leads {
			other = s
		}
	}
	if a := admin.run("", "cluster", "remove", other.id, "--yes"); a.code != 4 || !strings.Contains(a.err, "can be reached") {
		t.Errorf("removing a live server beside a dead one: exit code %d, %s", a.code, a.err)
	}
	if out := admin.must("", "cluster", "remove", gone.id, "--yes"); strings.Contains(out[strings.Index(out, ";"):], gone.id) {
		t.Errorf("after the removal: %s", out)
	}
	admin.json(&m, "cluster", "status")
	if len(m.Members) != 2 {
		t.Errorf("%+v", m)
	}

	leads.kill(t)
	other.kill(t)
	restoreAlone(t, c, file, job, submitted)
}

// restoreAlone begins a new cluster from a backup, in which the old admin's token
// and the jobs of the backup are known.
func restoreAlone(t *testing.T, c *cluster, file, job, after string) {
	h := c.h
	s := h.newServer("r1")
	if err := os.CopyFS(s.dir+"/ca", os.DirFS(c.servers[0].dir+"/ca")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.dir+"/ca/ca.key", 0o600); err != nil {
		t.Fatal(err)
	}
	c.cli().must("", "cluster", "snapshot", "restore", file, "--data-dir", s.dir, "--id", "r1", "--raft", strings.Replace(s.grpc, ":7070", ":7071", 1))
	if a := c.cli().run("", "cluster", "snapshot", "restore", file, "--data-dir", s.dir, "--id", "r1"); a.code != 4 {
		t.Errorf("restoring twice: exit code %d, %s", a.code, a.err)
	}
	s.start(h)
	c.servers = append([]*server{s}, c.servers...)
	admin := cli{h: h, env: append(c.cli().env, "SLUICE_ADDR="+s.grpc)}
	var m membersAnswer
	poll(t, 20*time.Second, "the restored server leads, frozen", func() (bool, string) {
		a := admin.run("", "cluster", "status", "-o", "json")
		if a.code == 0 {
			admin.json(&m, "cluster", "status")
		}
		return a.code == 0 && m.Leader == "r1" && m.Frozen && len(m.Members) == 1, a.out + a.err
	})
	if out := admin.must("", "job", "list"); !strings.Contains(out, "kept") || strings.Contains(out, "after") {
		t.Errorf("jobs of the restored cluster:\n%s", out)
	}
	if out := admin.must("", "policy", "get"); !strings.Contains(out, "Site") {
		t.Errorf("policy of the restored cluster:\n%s", out)
	}
	admin.must("", "cluster", "thaw")
	id := admin.must("kind: Job\nname: new\ngang: {gpus: 1}\nrun: {command: [sleep, \"60\"]}\n", "job", "submit", "-")
	if id == after || id == job {
		t.Errorf("job id %s was given out twice", id)
	}
	// It still is that cluster after a restart.
	s.kill(t)
	s.start(h)
	poll(t, 20*time.Second, "it leads again", func() (bool, string) {
		a := admin.run("", "job", "show", id)
		return a.code == 0, a.out + a.err + tail(s.log(), 500)
	})
}
