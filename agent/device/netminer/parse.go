package netminer

import (
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// Parse reads recorded or received replies of one miner, in any number and
// order; what each is, it tells by its content. Invalid: no reply is of a kind
// we know. Unavailable: the replies are of a service that is down. A reply
// that is refused by itself costs a warning where another is of use.
func Parse(replies ...[]byte) (Report, error) {
	b := &build{}
	var failed error
	for _, body := range replies {
		if err := b.reply(body); err != nil {
			failed = err
			b.warn("reply", "", "%s", err)
		}
	}
	switch {
	case b.known:
	case failed != nil:
		return Report{}, failed
	case len(b.refused) > 0:
		return Report{}, workload.Errorf(workload.Denied, "the miner refuses: %s", strings.Join(b.refused, "; "))
	default:
		return Report{}, workload.Errorf(workload.Invalid, "the reply is of no kind we know")
	}
	for _, text := range b.refused {
		b.warn("reply", "", "the miner refuses: %s", text)
	}
	return b.finish(), nil
}

func (b *build) reply(body []byte) error {
	// Newer Antminers and /miner_power answer in plain text.
	if text, ok := strings.CutPrefix(strings.TrimSpace(string(body[:min(len(body), 64)])), "miner power:"); ok {
		b.claim(Antminer)
		b.power("miner power", str(strings.TrimSpace(strings.TrimRight(text, "\x00Ww "))), false)
		return nil
	}
	r, err := lenient.Parse(body)
	if err != nil {
		return err
	}
	for _, f := range r.Fixes {
		b.warn("reply", "", "%s", f)
	}
	if r.Truncated {
		b.Partial = true
		b.warn("reply", "", "the reply ends in its middle; its beginning is used")
	}
	b.root(r.Value, 0)
	return nil
}

// root tells by its keys what a reply is.
func (b *build) root(v lenient.Value, depth int) {
	if depth > 2 {
		return
	}
	switch {
	case v.Kind == lenient.Array:
		if b.braiinsPools(v) {
			return
		}
		for _, item := range v.Items {
			b.root(item, depth+1)
		}
	case v.Has("ASICModel") || v.Has("hashRate") && v.Has("frequency"):
		b.axeOS(v)
	case v.Has("minertype") || v.Has("bitmain-work-mode") || v.Has("bitmain-fan-ctrl"):
		b.antminerCGI(v)
	case v.Has("code") && (v.Has("msg") || v.Has("desc")) && !v.Has("STATUS"):
		b.whatsminerV3(v)
	case v.Get("miner").Kind == lenient.Object || v.Has("fw_name") || v.Has("miner_state"):
		b.vnish(v)
	case v.Path("data", "bos").Kind == lenient.Object || v.Path("data", "bosminer").Kind == lenient.Object:
		b.braiinsGraph(v.Get("data"))
	case b.braiinsREST(v):
	default:
		b.envelope(v, depth)
	}
}

// envelope reads a reply of the cgminer API, whose sections are lists beside
// STATUS; a joined command wraps each of them under the command's name.
func (b *build) envelope(v lenient.Value, depth int) {
	b.status(v.Get("STATUS"))
	b.described(v.Get("Description"))
	if info := v.Get("INFO"); info.Kind == lenient.Object { // newer Antminer CGI
		b.claim(Antminer)
		b.known = true
		b.models(info.Get("type").Str())
		set(&b.Version, info.Get("miner_version").Str())
		set(&b.Built, info.Get("CompileTime").Str())
	}
	for _, m := range v.Members {
		section := strings.ToUpper(m.Key)
		read, known := sections[section]
		switch {
		case section == "STATUS" || section == "ID" || section == "WHEN" || section == "INFO" || section == "CODE" || section == "DESCRIPTION":
		case section == "MSG":
			b.message(v, m.Value)
		case wrapped(m.Value):
			for _, inner := range m.Value.List() {
				b.root(inner, depth+1)
			}
		case known:
			b.known = b.known || len(m.Value.List()) > 0
			read(b, m.Value.List())
		}
	}
}

// wrapped reports whether a member of a joined command is a whole reply.
func wrapped(v lenient.Value) bool {
	for _, item := range v.List() {
		for _, m := range item.Members {
			// In capitals: newer Antminers have a "status" in each section.
			if m.Key == "STATUS" && m.Value.Kind >= lenient.Array {
				return true
			}
		}
	}
	return false
}

// sections of the cgminer API; each gets the items of its list. It is set by
// a function, as the readers refer to it themselves.
var sections map[string]func(*build, []lenient.Value)

func init() {
	sections = map[string]func(*build, []lenient.Value){
		"STATS": (*build).stats, "SUMMARY": (*build).summary, "DEVS": (*build).devs, "EDEVS": (*build).devs, "POOLS": (*build).pools,
		"VERSION": (*build).version, "DEVDETAILS": (*build).devDetails, "TEMPS": (*build).temps, "FANS": (*build).fans,
		"POWER": (*build).luxPower, "TUNERSTATUS": (*build).tuner, "NOTIFY": (*build).notify, "CONFIG": func(*build, []lenient.Value) {},
		"COIN": func(*build, []lenient.Value) {}, "PROFILE": func(*build, []lenient.Value) {},
	}
}

// status reads the head of an envelope: who answers, and whether it refuses.
func (b *build) status(v lenient.Value) {
	for _, s := range v.List() {
		b.described(s.Get("Description"))
		b.claim(familyOf(s.Get("Msg").Str()))
		switch code := s.Get("STATUS").Str(); code {
		case "E", "F":
			b.refused = append(b.refused, trimTo(first(s.Get("Msg").Str(), "STATUS "+code), nameLimit))
		}
	}
}

// models notes a model and the firmware that its text names.
func (b *build) models(text string) {
	if text == "" {
		return
	}
	b.claim(familyOf(text))
	if strings.HasPrefix(strings.ToLower(text), "braiins-") {
		b.claim(Braiins)
	}
	if i := strings.Index(strings.ToLower(text), "(vnish"); i >= 0 {
		set(&b.Version, strings.Trim(text[i+len("(vnish"):], " )"))
	}
	set(&b.Model, text)
}
