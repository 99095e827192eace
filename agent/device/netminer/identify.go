package netminer

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// identifyLimit bounds the probing of one address.
const identifyLimit = 3 * time.Second

// Identity is what an address was found to be.
type Identity struct {
	Family Family `json:"family"`
	Sign   string `json:"sign"` // what gave it away
	V3     bool   `json:"v3,omitempty"`
}

// headSigns are realms of the login that a web server asks for.
var headSigns = []struct {
	realm  string
	family Family
}{{"antminer", Antminer}, {"blackminer", Hammer}, {"daoge", Elphapex}}

// pageSigns are words of the first page, the more specific first.
var pageSigns = []struct {
	text   string
	family Family
}{
	{"braiins os", Braiins}, {"luxor firmware", LuxOS}, {"axeos", AxeOS}, {"lucky miner", LuckyMiner}, {"cloud-box", Goldshell}, {"anthillos", Vnish},
	{"miner web dashboard", EPIC}, {"avalon", Avalon}, {"dragonmint", Innosilicon}, {"miner ui", Auradine}, {"/cgi-bin/luci", Whatsminer},
}

// Identify asks an address over HTTP, HTTPS and TCP 4028 at once what it is.
// The most specific answer counts: aftermarket firmware keeps the maker's
// names beside its own. NotFound: it answers, but as no miner we know.
// Unavailable: nothing answers. Nothing is sent that could change a device,
// and no login.
func Identify(ctx context.Context, host string, ports Ports) (Identity, error) {
	ports = ports.defaults()
	ctx, cancel := context.WithTimeout(ctx, identifyLimit)
	defer cancel()
	type found struct {
		Identity
		answered bool
	}
	probes := []func() found{
		func() found { id, ok := bySocket(ctx, host, ports); return found{id, ok} },
		func() found { id, ok := byPage(ctx, "http", host, ports.Web); return found{id, ok} },
		func() found { id, ok := byPage(ctx, "https", host, ports.TLS); return found{id, ok} },
		func() found { id, ok := byV3(ctx, host, ports.V3); return found{id, ok} },
	}
	results := make(chan found, len(probes))
	for _, p := range probes {
		go func() { results <- p() }()
	}
	var best found
	for range probes {
		f := <-results
		best.answered = best.answered || f.answered
		if f.Family.rank() < best.Family.rank() {
			best.Identity = f.Identity
		} else if f.Family == best.Family && f.V3 {
			best.V3 = true
		}
		if best.Family != "" && best.Family.rank() <= 10 {
			return best.Identity, nil // nothing tells more
		}
	}
	switch {
	case best.Family != "":
		return best.Identity, nil
	case best.answered:
		return Identity{}, workload.Errorf(workload.NotFound, "%s answers, but as no miner we know", host)
	}
	return Identity{}, workload.Errorf(workload.Unavailable, "%s does not answer", host)
}

// bySocket asks the cgminer API what it is.
func bySocket(ctx context.Context, host string, ports Ports) (Identity, bool) {
	answered := false
	best := Identity{}
	for _, name := range []string{"version", "devdetails"} {
		body, err := ask(ctx, host, ports.RPC, name, "")
		if err != nil {
			if !answered {
				return best, false // no such service: the second would not answer either
			}
			continue
		}
		answered = true
		family := familyOf(string(body))
		// "ANTMINER" in devdetails is the hardware under other firmware.
		if family == Antminer && name == "devdetails" {
			family = ""
		}
		if family == "" && usable(body) && best.Family == "" && strings.Contains(strings.ToUpper(string(body)), `"STATUS"`) {
			family = CGMiner
		}
		if family.rank() < best.Family.rank() {
			best = Identity{Family: family, Sign: "API " + name}
		}
		if best.Family.rank() <= 10 {
			break
		}
	}
	return best, answered
}

// byPage looks at the first page and at what it asks.
func byPage(ctx context.Context, scheme, host string, port int) (Identity, bool) {
	w := newWeb(scheme, host, port, Login{})
	var redirects []string
	w.client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		redirects = append(redirects, next.URL.Scheme)
		return sameHost(next, via)
	}
	a, err := w.do(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return Identity{}, false
	}
	if a.status == http.StatusUnauthorized {
		challenge := strings.ToLower(a.header.Get("WWW-Authenticate"))
		for _, s := range headSigns {
			if strings.Contains(challenge, `realm="`+s.realm) {
				return Identity{Family: s.family, Sign: "login realm"}, true
			}
		}
	}
	page := strings.ToLower(string(a.body[:min(len(a.body), 256<<10)]))
	for _, s := range pageSigns {
		if !strings.Contains(page, s.text) {
			continue
		}
		if s.family == Whatsminer && !(scheme == "https" || len(redirects) > 0 && redirects[0] == "https") {
			continue // any router has this path
		}
		return Identity{Family: s.family, Sign: "page"}, true
	}
	if iceRiverTitle(string(a.body)) {
		return Identity{Family: IceRiver, Sign: "page title"}, true
	}
	return Identity{}, true
}

// iceRiverTitle looks for the two words "user interface" in Chinese.
func iceRiverTitle(page string) bool {
	const words = "\u7528\u6237\u754c\u9762"
	i := strings.Index(strings.ToLower(page), "<title>")
	return i >= 0 && strings.HasPrefix(strings.TrimSpace(page[i+len("<title>"):]), words)
}

// byV3 asks for the device information of btminer API 3, which needs no login.
func byV3(ctx context.Context, host string, port int) (Identity, bool) {
	conn, err := dial(ctx, host, port)
	if err != nil {
		return Identity{}, false
	}
	defer conn.Close()
	body, err := frame(ctx, conn, []byte(`{"cmd":"get.device.info"}`))
	if err != nil {
		return Identity{}, true
	}
	if text := string(body); strings.Contains(text, `"code"`) && strings.Contains(text, `"msg"`) {
		return Identity{Family: Whatsminer, Sign: "API 3", V3: true}, true
	}
	return Identity{}, true
}
