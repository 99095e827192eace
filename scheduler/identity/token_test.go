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
