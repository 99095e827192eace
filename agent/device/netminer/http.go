package netminer

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// web speaks HTTP to one miner. Certificates of miners are their own making,
// so they are not verified; what is sent is secret to nobody on that network.
type web struct {
	base   string
	client *http.Client
	login  Login
	nonces digest
	token  string // of APIs that log in
}

// Login is a user and password; an empty password sends none.
type Login struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

func newWeb(scheme, host string, port int, login Login) *web {
	transport := &http.Transport{
		Proxy:                  nil, // miners are on our own network
		DialContext:            (&net.Dialer{Timeout: dialLimit}).DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
		ResponseHeaderTimeout:  replyLimit,
	}
	client := &http.Client{Transport: transport, Timeout: dialLimit + replyLimit, CheckRedirect: sameHost}
	return &web{base: scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)), client: client, login: login}
}

// sameHost keeps a device from sending us, and our login, elsewhere.
func sameHost(next *http.Request, via []*http.Request) error {
	if next.URL.Hostname() != via[0].URL.Hostname() || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    string // after redirects
	first  int    // status before redirects
}

// do sends one request, with a digest login where the device asks for one.
func (w *web) do(ctx context.Context, method, path string, body []byte) (answer, error) {
	a, err := w.once(ctx, method, path, body, "")
	if err != nil || a.status != http.StatusUnauthorized || w.login.Password == "" {
		return a, err
	}
	authorization, ok := w.nonces.authorize(a.header.Get("WWW-Authenticate"), w.login, method, path)
	if !ok {
		return a, nil
	}
	return w.once(ctx, method, path, body, authorization)
}

func (w *web) once(ctx context.Context, method, path string, body []byte, authorization string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, workload.Errorf(workload.Invalid, "%s %s: %w", method, path, err)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	switch {
	case authorization != "":
		request.Header.Set("Authorization", authorization)
	case w.token != "":
		request.Header.Set("Authorization", w.token)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return answer{}, workload.Errorf(workload.Unavailable, "%s: %w", w.base, plainError(err))
	}
	defer response.Body.Close()
	// A body that never ends is read for as long as the client's deadline.
	data, err := io.ReadAll(io.LimitReader(response.Body, lenient.MaxBytes+1))
	if len(data) > lenient.MaxBytes {
		return answer{}, workload.Errorf(workload.Invalid, "%s%s answers more than %d bytes", w.base, path, lenient.MaxBytes)
	}
	if err != nil && len(data) == 0 {
		return answer{}, workload.Errorf(workload.Unavailable, "%s%s: %w", w.base, path, err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: data, url: response.Request.URL.String()}, nil
}

// plainError drops the URL that net/http repeats, which may hold a name.
func plainError(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// get fetches a path that must succeed.
func (w *web) get(ctx context.Context, path string) ([]byte, error) {
	return w.must(ctx, http.MethodGet, path, nil)
}

// must turns statuses into errors. Denied: the login is wrong or missing.
func (w *web) must(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	a, err := w.do(ctx, method, path, body)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return nil, workload.Errorf(workload.Denied, "%s %s: the miner refuses the login", method, path).Hint("give the miner's password with --miner-logins")
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		return nil, workload.Errorf(workload.NotFound, "%s %s: the miner does not offer it", method, path)
	case a.status/100 != 2:
		return nil, workload.Errorf(workload.Unavailable, "%s %s: the miner answers %d", method, path, a.status)
	}
	return a.body, nil
}

// digest answers RFC 2617 challenges as the web servers of miners make them.
type digest struct{ count int }

func (d *digest) authorize(challenge string, login Login, method, path string) (string, bool) {
	kind, rest, _ := strings.Cut(challenge, " ")
	if !strings.EqualFold(kind, "digest") {
		return "", false
	}
	fields := challengeFields(rest)
	if a := fields["algorithm"]; a != "" && !strings.EqualFold(a, "MD5") {
		return "", false
	}
	sum := func(s string) string {
		h := md5.Sum([]byte(s))
		return hex.EncodeToString(h[:])
	}
	d.count++
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", false
	}
	cnonce, nc := hex.EncodeToString(random[:]), fmt.Sprintf("%08x", d.count)
	ha1, ha2 := sum(login.User+":"+fields["realm"]+":"+login.Password), sum(method+":"+path)
	text := fmt.Sprintf(`Digest username=%q, realm=%q, nonce=%q, uri=%q`, login.User, fields["realm"], fields["nonce"], path)
	if strings.Contains(fields["qop"], "auth") {
		text += fmt.Sprintf(`, qop=auth, nc=%s, cnonce=%q, response=%q`, nc, cnonce, sum(strings.Join([]string{ha1, fields["nonce"], nc, cnonce, "auth", ha2}, ":")))
	} else {
		text += fmt.Sprintf(`, response=%q`, sum(ha1+":"+fields["nonce"]+":"+ha2))
	}
	if o := fields["opaque"]; o != "" {
		text += fmt.Sprintf(`, opaque=%q`, o)
	}
	return text, true
}

// challengeFields reads key="value" pairs; commas may stand inside quotes.
func challengeFields(s string) map[string]string {
	fields := map[string]string{}
	for len(s) > 0 && len(fields) < 32 {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		key = strings.ToLower(strings.Trim(key, " ,\t"))
		rest = strings.TrimLeft(rest, " ")
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, rest, _ = strings.Cut(rest[1:], `"`)
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		fields[key] = strings.TrimSpace(value)
		s = rest
	}
	return fields
}

// until waits for a moment or the context.
func until(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
