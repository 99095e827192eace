package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

type tokens struct {
	mu   sync.Mutex
	recs map[string]identity.BearerRecord
}

func (s *tokens) Bearer(id string) (identity.BearerRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.recs[id]
	return r, ok
}

// site is the HTTP face over a working fleet.
type site struct {
	*fake
	t      *testing.T
	url    string
	tokens map[identity.Role]string
}

func serve(t *testing.T) *site {
	f, op := working(t)
	store := &tokens{recs: map[string]identity.BearerRecord{}}
	s := &site{fake: f, t: t, tokens: map[identity.Role]string{}}
	for _, role := range identity.PeopleRoles() {
		text, rec, err := identity.NewBearer("the-"+string(role), []identity.Role{role}, 1)
		if err != nil {
			t.Fatal(err)
		}
		store.recs[rec.ID], s.tokens[role] = rec, text
	}
	dist := fstest.MapFS{"index.html": {Data: []byte("<title>Sluice</title>")}, "assets/app.js": {Data: []byte("let x")}}
	m := NewMetrics(f, func() int { return 2 })
	m.ObserveDecision("optimal", 3*time.Millisecond)
	h, err := NewHandler(Options{Operator: op, Guard: &identity.Guard{Tokens: store}, Core: f, Dist: dist, Metrics: m, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(h, quiet())
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = server.URL
	return s
}

func (s *site) do(method, path string, role identity.Role, body string, headers ...string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+s.tokens[role])
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(data), res.Header
}

func TestEveryPathAnswers(t *testing.T) {
	s := serve(t)
	id := s.submit(4)
	s.work()
	for _, c := range []struct{ path, want string }{
		{"/api/v1/status", `"ai_share_ppm":500000`},
		{"/api/v1/nodes", `{"nodes":[{"id":"n01","site":"hall-1"`},
		{"/api/v1/gpus", `{"gpus":[{"id":"n01/0"`},
		{"/api/v1/gpus?node=n02", `{"gpus":[{"id":"n02/0"`},
		{"/api/v1/jobs", `{"jobs":[{"id":"1","name":"job-4"`},
		{"/api/v1/jobs?all=true", `"currency":"USD"}`},
		{"/api/v1/jobs/" + id, `"phase":"active"`},
		{"/api/v1/jobs/" + id + "/logs", `{"result":{"data":"eHh4`},
		{"/api/v1/explain/gpus/n01/0", `"verdict":"`},
		{"/api/v1/explain/gpus/hall-1/n01/0", `"verdict":"`},
		{"/api/v1/explain/jobs/" + id, `"ways":["`},
		{"/api/v1/policies", `{"policies":[{"kind":"Cluster"`},
		{"/api/v1/timeline?hours=2", `"devices":[{"id":"n01/0","intervals":[`},
		{"/api/v1/money", `"points":[{"at_ms":`},
		{"/api/v1/ledger/verify", `{"ok":true,`},
		{"/api/openapi.json", `"swagger"`},
		{"/metrics", `sluice_devices{use="training"} 4`},
	} {
		code, body, head := s.do("GET", c.path, identity.Viewer, "")
		if code != 200 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d, want %s in %.400s", c.path, code, c.want, body)
		}
		if head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.path, head)
		}
		if strings.HasPrefix(c.path, "/api/v1/") && !strings.Contains(c.path, "logs") && !json.Valid([]byte(body)) {
			t.Errorf("%s is not JSON", c.path)
		}
		// Without a token there is nothing but the refusal.
		for _, auth := range []string{"", "Bearer ", "Bearer sluice_x_y", "Basic abc", "Bearer " + strings.Replace(s.tokens[identity.Viewer], "_", "-", 1)} {
			var h []string
			if auth != "" {
				h = []string{"Authorization", auth}
			}
			if code, body, head := s.do("GET", c.path, "", "", h...); code != 401 || !strings.HasPrefix(body, `{"error":{"kind":"denied"`) || head.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %q: %d %s", c.path, auth, code, body)
			}
		}
	}
}

func TestRolesOverREST(t *testing.T) {
	s := serve(t)
	doc := jobText("a", 1, "1")
	for _, c := range []struct {
		role         identity.Role
		method, path string
		body         string
		want         int
	}{
		{identity.Viewer, "POST", "/api/v1/jobs", doc, 403},
		{identity.Finance, "POST", "/api/v1/jobs", doc, 403},
		{identity.Submitter, "POST", "/api/v1/jobs", doc, 200},
		{identity.Viewer, "POST", "/api/v1/jobs/1/cancel", "", 403},
		{identity.Submitter, "POST", "/api/v1/jobs/1/cancel", "", 200},
		{identity.Viewer, "POST", "/api/v1/policies/plan", target("5%"), 200},
		{identity.Submitter, "POST", "/api/v1/policies", target("5%"), 403},
		{identity.Finance, "POST", "/api/v1/policies", target("5%"), 200},
		{identity.Finance, "POST", "/api/v1/policies", "kind: Tenant\nname: x", 403},
		{identity.Operator, "POST", "/api/v1/policies?delete=Target/ai-share", "", 200},
		{identity.Operator, "POST", "/api/v1/tokens", `{"kind":"node"}`, 403},
		{identity.Admin, "POST", "/api/v1/tokens", `{"kind":"node"}`, 200},
	} {
		if code, body, _ := s.do(c.method, c.path, c.role, c.body); code != c.want {
			t.Errorf("%s %s as %s: %d, want %d: %s", c.method, c.path, c.role, code, c.want, body)
		}
	}
	if j := s.View().Jobs[1]; j.Actor != "the-submitter" || j.Phase != workload.Cancelled {
		t.Errorf("job %v", j)
	}
	if s.issued[0] != "node  [] 1h0m0s by the-admin" {
		t.Errorf("issued %v", s.issued)
	}
}

func TestDocumentsOverREST(t *testing.T) {
	s := serve(t)
	doc := jobText("quoted", 1, "1")
	quoted, _ := json.Marshal(doc)
	for _, c := range []struct{ name, body, kind string }{
		{"YAML", strings.Replace(doc, "quoted", "yaml", 1), "application/yaml"},
		{"as a form, which is what curl says", strings.Replace(doc, "quoted", "form", 1), "application/x-www-form-urlencoded"},
		{"a JSON string", string(quoted), "application/json"},
		{"a JSON document", `{"kind": "Job", "name": "json", "gang": {"gpus": 1}, "run": {"command": ["x"]}}`, "application/json"},
	} {
		code, body, _ := s.do("POST", "/api/v1/jobs?file="+url.QueryEscape("a b.yaml"), identity.Submitter, c.body, "Content-Type", c.kind)
		if code != 200 {
			t.Errorf("%s: %d %s", c.name, code, body)
		}
	}
	if n := len(s.View().Jobs); n != 4 || s.View().Jobs[3].YAML != doc {
		t.Errorf("%d jobs, %q", n, s.View().Jobs[3].YAML)
	}
	code, body, _ := s.do("POST", "/api/v1/jobs?file=x.yaml&dry_run=true", identity.Submitter, "kind: Job\nname: A")
	if code != 400 || !strings.Contains(body, `x.yaml:2:7: name`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := s.do("POST", "/api/v1/jobs", identity.Submitter, strings.Repeat("#", 3<<20)); code != 400 {
		t.Errorf("3 MiB: %d %.200s", code, body)
	}
}

func TestErrorKindsBecomeStatuses(t *testing.T) {
	s := serve(t)
	for kind, want := range map[workload.Kind]int{workload.Internal: 500, workload.Invalid: 400, workload.NotFound: 404, workload.Conflict: 409,
		workload.Unavailable: 503, workload.NotLeader: 503, workload.Denied: 403, workload.Exhausted: 429} {
		s.proposeErr = workload.Errorf(kind, "it is so").Hint("do this")
		code, body, head := s.do("POST", "/api/v1/jobs", identity.Admin, jobText("a", 1, "1"))
		word := strings.ReplaceAll(kind.String(), " ", "_")
		if want := `{"error":{"kind":"` + word + `","text":"it is so","next":"do this"}}` + "\n"; body != want || head.Get("Content-Type") != "application/json" {
			t.Errorf("%v: %s, want %s", kind, body, want)
		}
		if code != want {
			t.Errorf("%v: %d, want %d", kind, code, want)
		}
		s.proposeErr, s.logErr = nil, nil
	}
	s.submit(1)
	s.work()
	s.logErr = workload.Errorf(workload.Unavailable, "the node is silent")
	if code, body, _ := s.do("GET", "/api/v1/jobs/1/logs", identity.Viewer, ""); code != 503 || !strings.Contains(body, `"text":"the node is silent"`) {
		t.Errorf("a stream that fails at once: %d %s", code, body)
	}
	for path, want := range map[string]int{"/api/v1/none": 404, "/api/v2": 404, "/api/v1/jobs/99": 404, "/api/v1/timeline?hours=99": 400} {
		if code, body, _ := s.do("GET", path, identity.Viewer, ""); code != want || !strings.HasPrefix(body, `{"error":{"kind":`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body, _ := s.do("POST", "/api/v1/status", identity.Admin, "", "Content-Type", "application/x-www-form-urlencoded"); code != 405 {
		t.Errorf("a form sent to a reading path: %d %s", code, body)
	}
	if code, body, _ := s.do("DELETE", "/api/v1/jobs", identity.Admin, ""); code != 405 || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("a wrong method: %d %s", code, body)
	}
}

func TestForeignOriginsAndHeadersAreRefused(t *testing.T) {
	s := serve(t)
	before := s.bytes()
	doc := jobText("a", 1, "1")
	if code, body, _ := s.do("POST", "/api/v1/jobs", identity.Admin, doc, "Sec-Fetch-Site", "cross-site"); code != 403 || !strings.Contains(body, "another origin") {
		t.Errorf("cross-site: %d %s", code, body)
	}
	// A header must not become a second token, nor a caller's name.
	if code, body, _ := s.do("POST", "/api/v1/jobs", identity.Viewer, doc, "Grpc-Metadata-Authorization", "Bearer "+s.tokens[identity.Admin]); code != 403 {
		t.Errorf("a token as metadata: %d %s", code, body)
	}
	if code, body, _ := s.do("GET", "/api/v1/status", identity.Viewer, "", "Authorization", "Bearer "+s.tokens[identity.Admin]); code != 401 {
		t.Errorf("two tokens: %d %s", code, body)
	}
	if code, body, _ := s.do("POST", "/api/v1/jobs", identity.Viewer, doc, "X-HTTP-Method-Override", "GET"); code != 403 {
		t.Errorf("an override of the method: %d %s", code, body)
	}
	if !bytes.Equal(before, s.bytes()) {
		t.Error("a refused request changed the state")
	}
}

func TestPages(t *testing.T) {
	s := serve(t)
	for path, want := range map[string]string{"/": "<title>", "/gpus/n01/0": "<title>", "/index.html": "<title>", "/assets/app.js": "let x"} {
		code, body, head := s.do("GET", path, "", "")
		if code != 200 || !strings.Contains(body, want) || head.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %s %v", path, code, body, head)
		}
		csp := head.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "script-src 'self';") {
			t.Errorf("%s: %s", path, csp)
		}
		if code, _, _ := s.do("GET", path, "", "", "If-None-Match", head.Get("ETag")); code != 304 {
			t.Errorf("%s again: %d", path, code)
		}
	}
	for path, want := range map[string]int{"/assets/none.js": 404} {
		if code, _, _ := s.do("GET", path, "", ""); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _, _ := s.do("POST", "/", "", "x"); code != 405 {
		t.Errorf("POST to a page: %d", code)
	}
}

func TestHealth(t *testing.T) {
	s := serve(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body, _ := s.do("GET", path, "", ""); code != 200 || body != "ok\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	s.leader = ""
	if code, body, _ := s.do("GET", "/readyz", "", ""); code != 503 || body != "no leader\n" {
		t.Errorf("without a leader: %d %s", code, body)
	}
	if code, _, _ := s.do("GET", "/healthz", "", ""); code != 200 {
		t.Errorf("it lives without a leader: %d", code)
	}
}

func TestMetrics(t *testing.T) {
	s := serve(t)
	s.feedErrors = map[string]string{"kas": "refused"}
	_, body, _ := s.do("GET", "/metrics", identity.Viewer, "")
	for _, line := range []string{`sluice_devices{use="mining"} 8`, `sluice_devices{use="unknown"} 0`, `sluice_money_rate{currency="USD",kind="net"} 0.35267`,
		`sluice_power_watts{site="hall-1"} 2328`, `sluice_raft_term 3`, `sluice_raft_leader 1`, `sluice_policy_revision 101`, `sluice_policy_store_ok 1`,
		`sluice_feed_failing{feed="kas"} 1`, `sluice_agent_sessions 2`, `sluice_decision_seconds_count{stage="optimal"} 1`, `sluice_plan_gap_ppm `,
		`sluice_energy_price{currency="USD",site="hall-1"} 0.1`, `go_goroutines `} {
		if !strings.Contains(body, line) {
			t.Errorf("no %s in\n%s", line, body)
		}
	}
}

// TestEvents reads events as a page does: the present at once, then a change.
func TestEvents(t *testing.T) {
	s := serve(t)
	read := func(headers ...string) (func() string, func()) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.tokens[identity.Viewer])
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		lines := bufio.NewScanner(res.Body)
		return func() string {
			var event []string
			for lines.Scan() {
				switch line := lines.Text(); {
				case line == "" && len(event) > 0:
					return strings.Join(event, "|")
				case strings.HasPrefix(line, "id:") || strings.HasPrefix(line, "data:"):
					event = append(event, line)
				}
			}
			t.Fatal("the stream ended: ", lines.Err())
			return ""
		}, func() { res.Body.Close() }
	}
	next, stop := read()
	defer stop()
	first := next()
	if want := `|data: {"log_index":`; !strings.HasPrefix(first, "id: ") || !strings.Contains(first, want) || !strings.Contains(first, `"plan":`) || !strings.Contains(first, `"market_ms":`) {
		t.Errorf("first event %s", first)
	}
	s.submit(1)
	if second := next(); second == first {
		t.Errorf("no change in %s", second)
	}
	again, stopAgain := read("Last-Event-ID", "1")
	defer stopAgain()
	if got := again(); got == first {
		t.Errorf("a reader who comes back gets the past: %s", got)
	}
}

// TestWatchPace bounds a stream to four messages a second, however much
// changes, and loses none of what was last.
func TestWatchPace(t *testing.T) {
	s := serve(t)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/watch", nil)
	req.Header.Set("Authorization", "Bearer "+s.tokens[identity.Viewer])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Scan()
	began := time.Now()
	for range 50 {
		s.observe()
	}
	last := s.View().Index
	n := 0
	for lines.Scan() {
		n++
		var m struct {
			Result struct {
				LogIndex uint64 `json:"log_index"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err, lines.Text())
		}
		if m.Result.LogIndex == last {
			break
		}
	}
	if took := time.Since(began); n > int(took/watchPause)+1 {
		t.Errorf("%d messages in %v", n, took)
	}
}
