package identity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func TestJoinTokens(t *testing.T) {
	ca := newCA(t, "hall")
	j, rec, err := NewJoinToken(ca.Trust, Agent, "", "alice", 1000, 5000)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseJoinToken(" " + j.Text() + "\n")
	if err != nil || got != j || got.Pin != ca.Pin() {
		t.Fatalf("%v: %v", got, err)
	}
	if len(j.Text()) != len("sluice-join-1")+3+52+16+52 {
		t.Errorf("token of %d bytes", len(j.Text()))
	}
	secret := strings.Split(j.Text(), ".")[3]
	for _, s := range []string{fmt.Sprint(j), fmt.Sprintf("%+v", j), fmt.Sprintf("%#v", j), fmt.Sprint(rec), fmt.Sprint(j.Proof())} {
		if strings.Contains(s, secret) {
			t.Errorf("the secret is printed: %s", s)
		}
	}
	bound, boundRec, _ := NewJoinToken(ca.Trust, Server, "s2", "alice", 1000, 5000)
	records := map[string]TokenRecord{rec.ID: rec, boundRec.ID: boundRec}
	wrong := j
	wrong.secret[0] ^= 1
	strange, _, _ := NewJoinToken(ca.Trust, Agent, "", "alice", 1000, 5000)
	for _, c := range []struct {
		name  string
		proof Proof
		as    string
		now   int64
		want  string
	}{
		{"in time", j.Proof(), "n1", 4999, ""},
		{"for its name", bound.Proof(), "s2", 1000, ""},
		{"expired", j.Proof(), "n1", 5000, "has expired"},
		{"wrong secret", wrong.Proof(), "n1", 1000, "not known"},
		{"unknown", strange.Proof(), "n1", 1000, "not known"},
		{"empty", Proof{}, "n1", 1000, "not known"},
		{"no hash", Proof{ID: j.ID}, "n1", 1000, "not known"},
		{"another name", bound.Proof(), "s3", 1000, "is for s2"},
		{"no name", j.Proof(), "", 1000, "must be"},
	} {
		after, err := Consume(records, c.proof, c.as, c.now)
		switch {
		case c.want == "" && (err != nil || after.UsedBy != c.as || after.UsedAt != c.now):
			t.Errorf("%s: %+v, %v", c.name, after, err)
		case c.want != "" && (workload.KindOf(err) != workload.Denied || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if records[j.ID].UsedAt != 0 {
		t.Error("Consume changed what it was given")
	}
	// I16: a token works once, whoever shows it again.
	after, _ := Consume(records, j.Proof(), "n1", 2000)
	records[j.ID] = after
	for _, who := range []string{"n1", "n2"} {
		if _, err := Consume(records, j.Proof(), who, 2001); workload.KindOf(err) != workload.Denied || !strings.Contains(err.Error(), "used already, by n1") {
			t.Errorf("shown again by %s: %v", who, err)
		}
	}
	for _, c := range []struct {
		role    Role
		name    string
		expires int64
	}{{Admin, "", 5000}, {PlanSigner, "", 5000}, {Agent, "N 1", 5000}, {Agent, "", 1000}} {
		if _, _, err := NewJoinToken(ca.Trust, c.role, c.name, "alice", 1000, c.expires); workload.KindOf(err) != workload.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestBearerTokens(t *testing.T) {
	token, rec, err := NewBearer("alice", []Role{Viewer, Finance}, 7)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseBearer(token)
	if err != nil || !rec.Check(p) {
		t.Fatalf("%v", err)
	}
	other, otherRec, _ := NewBearer("alice", []Role{Viewer}, 7)
	q, _ := ParseBearer(other)
	mixed := Proof{ID: rec.ID, Hash: q.Hash}
	if rec.Check(q) || otherRec.Check(p) || rec.Check(mixed) || (BearerRecord{}).Check(Proof{}) {
		t.Error("a wrong token is taken")
	}
	for _, bad := range []string{"", "sluice", token + "a", token[:len(token)-1], strings.ToUpper(token), " " + token, strings.Replace(token, "_", ".", 1), "Sluice" + token[6:]} {
		if _, err := ParseBearer(bad); workload.KindOf(err) != workload.Denied || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, roles := range [][]Role{nil, {Server}, {Agent}, {"root"}, {Admin, PlanSigner}} {
		if _, _, err := NewBearer("alice", roles, 7); workload.KindOf(err) != workload.Invalid {
			t.Errorf("roles %v: %v", roles, err)
		}
	}
}

func FuzzParseJoinToken(f *testing.F) {
	j := JoinToken{ID: strings.Repeat("a", 16)}
	f.Add(j.Text())
	f.Add("sluice-join-1...")
	f.Add("sluice-join-2." + strings.Repeat("a", 52) + ".b.c")
	f.Fuzz(func(t *testing.T, s string) {
		if j, err := ParseJoinToken(s); err == nil && j.Text() != strings.TrimSpace(s) {
			t.Fatalf("%q is read and written as %q", s, j.Text())
		}
	})
}

func FuzzParseBearer(f *testing.F) {
	token, _, _ := NewBearer("alice", []Role{Viewer}, 7)
	f.Add(token)
	f.Add("sluice__")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseBearer(s); err == nil && (len(p.ID) != 16 || !strings.HasPrefix(s, "sluice_"+p.ID+"_")) {
			t.Fatalf("%q is read as %+v", s, p)
		}
	})
}
