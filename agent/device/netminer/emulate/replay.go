package emulate

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// Replay is a device that says what was recorded, byte for byte.
type Replay struct {
	Name   string
	family netminer.Family
	rpc    map[string][]byte // by command
	web    map[string][]byte // by path
	v3     []byte
}

var _ Miner = (*Replay)(nil)

// Load makes a device of every recorded reply (*.rpc, *.json) in a directory.
// What each file is, its content tells. Files that are no reply are listed in
// skipped with the reason.
func Load(dir string) (list []*Replay, skipped []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, workload.Errorf(workload.NotFound, "recordings: %w", err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".rpc" && ext != ".json" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err == nil {
			var r *Replay
			if r, err = NewReplay(e.Name(), body); err == nil {
				list = append(list, r)
			}
		}
		if err != nil {
			skipped = append(skipped, e.Name()+": "+err.Error())
		}
	}
	if len(list) == 0 {
		return nil, skipped, workload.Errorf(workload.NotFound, "no recorded reply (*.rpc or *.json) in %s", dir)
	}
	return list, skipped, nil
}

// NewReplay makes a device of one recorded reply.
func NewReplay(name string, body []byte) (*Replay, error) {
	report, err := netminer.Parse(body)
	if err != nil {
		return nil, err
	}
	r := &Replay{Name: name, family: report.Family, rpc: map[string][]byte{}, web: map[string][]byte{}}
	parsed, err := lenient.Parse(body)
	if err != nil {
		return nil, err
	}
	v := parsed.Value
	switch {
	case report.Family == netminer.AxeOS:
		r.web["/api/system/info"] = body
	case v.Has("miner_stats"):
		r.web["/api/v1/miner/stats"] = body
	case v.Has("bos_version"):
		r.web["/api/v1/miner/details"] = body
	case v.Has("minertype"):
		r.web["/cgi-bin/get_system_info.cgi"] = body
	case v.Has("bitmain-work-mode"):
		r.web["/cgi-bin/get_miner_conf.cgi"] = body
	case v.Get("miner").Kind == lenient.Object:
		r.web["/api/v1/summary"] = body
	case v.Has("code") && !v.Has("STATUS"):
		r.v3 = body
	default:
		r.commands(v, body)
	}
	return r, nil
}

// commands that a reply answers: those its sections are named for. A joined
// reply answers each of its parts, and all together.
func (r *Replay) commands(v lenient.Value, body []byte) {
	for _, m := range v.Members {
		switch name := strings.ToLower(m.Key); name {
		case "status", "id", "when", "code", "description":
		case "msg":
			for _, c := range []string{"get_version", "get_psu", "get_miner_info", "status", "get_error_code"} {
				r.rpc[c] = body
			}
		default:
			r.rpc[name] = body
			if name == "stats" {
				r.rpc["litestats"], r.rpc["estats"] = body, body
			}
		}
	}
}

// Family implements Miner.
func (r *Replay) Family() netminer.Family { return r.family }

// RPC implements Miner.
func (r *Replay) RPC() func([]byte) []byte {
	if len(r.rpc) == 0 {
		return nil
	}
	return func(request []byte) []byte {
		name, _ := asked(request)
		if body, ok := r.rpc[strings.ToLower(name)]; ok {
			return body
		}
		if parts := strings.Split(name, "+"); len(parts) > 1 {
			if body, ok := r.rpc[parts[0]]; ok {
				return body
			}
		}
		return fmt.Appendf(nil, `{"STATUS":[{"STATUS":"E","When":0,"Code":14,"Msg":"Invalid command","Description":%q}],"id":1}`, r.description())
	}
}

func (r *Replay) description() string {
	if r.family == netminer.Antminer || r.family == netminer.CGMiner {
		return "cgminer 4.9.0"
	}
	return "replay"
}

// Web implements Miner.
func (r *Replay) Web() http.Handler {
	if len(r.web) == 0 {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if body, ok := r.web[request.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json")
			w.Write(body)
			return
		}
		if request.URL.Path == "/" {
			title := map[netminer.Family]string{netminer.AxeOS: "AxeOS", netminer.Braiins: "Braiins OS", netminer.Vnish: "AnthillOS"}[r.family]
			if r.family == netminer.Antminer {
				w.Header().Set("WWW-Authenticate", `Digest realm="antMiner Configuration", nonce="0", qop="auth"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, "<html><head><title>%s</title></head></html>", title)
			return
		}
		http.NotFound(w, request)
	})
}

// V3 implements Miner.
func (r *Replay) V3() func([]byte) []byte {
	if r.v3 == nil {
		return nil
	}
	return func([]byte) []byte { return r.v3 }
}

// Commands lists what the device answers.
func (r *Replay) Commands() []string {
	var out []string
	for c := range r.rpc {
		out = append(out, c)
	}
	for p := range r.web {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}
