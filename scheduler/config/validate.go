package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Validate reports what is wrong with a policy as a whole: documents that are
// invalid by themselves (they may have come by another way than Parse), names
// that do not exist, and amounts in currencies that disagree. The order is that
// of the documents.
func Validate(s *Set) []Issue {
	v := validator{set: s, currency: s.Cluster().Currency}
	for d := range s.All() {
		v.key = d.Key()
		v.document(d)
	}
	return v.issues
}

type validator struct {
	set      *Set
	currency string
	key      Key
	issues   []Issue
}

func (v *validator) bad(path, format string, args ...any) {
	v.issues = append(v.issues, Issue{Document: v.key, Path: path, Text: fmt.Sprintf(format, args...)})
}

// refers checks that a document exists; an empty name refers to nothing.
func (v *validator) refers(path string, kind Kind, name string) bool {
	if name == "" {
		return true
	}
	if _, ok := v.set.Get(Key{kind, name}); ok {
		return true
	}
	var names []string
	for d := range v.set.OfKind(kind) {
		names = append(names, d.Name)
	}
	i := Issue{Document: v.key, Path: path, Text: fmt.Sprintf("there is no %s named %q", kind, name)}
	if best := nearest(name, names); best != "" {
		i.Next = fmt.Sprintf("did you mean %q?", best)
	}
	v.issues = append(v.issues, i)
	return false
}

// money checks that an amount is in the accounting currency.
func (v *validator) money(path string, a *Amount) {
	if a != nil && a.Currency != v.currency {
		v.bad(path, "is in %s but the cluster accounts in %s", a.Currency, v.currency)
	}
}

func (v *validator) scope(s *Scope) {
	if s == nil {
		return
	}
	if v.refers("scope.site", KindSite, string(s.Site)) && s.Hall != "" {
		if site := v.set.Site(s.Site); site != nil && site.Hall(s.Hall) == nil {
			v.bad("scope.hall", "site %q has no hall named %q", s.Site, s.Hall)
		}
	}
	v.refers("scope.tenant", KindTenant, string(s.Tenant))
	v.refers("scope.model", KindDeviceProfile, string(s.Model))
}

func (v *validator) document(d Document) {
	if d.Body() == nil {
		v.bad("", "has no body")
		return
	}
	d.check(v.bad)
	switch {
	case d.Site != nil:
		v.refers("tariff", KindTariff, d.Site.Tariff)
	case d.Tariff != nil:
		v.tariff(d.Tariff)
	case d.Calendar != nil:
		v.refers("site", KindSite, string(d.Calendar.Site))
		v.money("credit", d.Calendar.Credit)
		if s := d.Calendar.Strike; s != nil {
			v.money("strike.low", &s.Low)
			v.money("strike.high", &s.High)
		}
	case d.Target != nil:
		v.scope(d.Target.Scope)
		switch kind, name, _ := strings.Cut(d.Target.Use, "/"); kind {
		case "coin":
			v.refers("use", KindCoin, name)
		case "tenant":
			v.refers("use", KindTenant, name)
		}
	case d.Override != nil:
		v.scope(d.Override.Scope)
	case d.Coin != nil:
		v.coin(d.Coin)
	case d.Pool != nil:
		v.refers("coin", KindCoin, string(d.Pool.Coin))
		if v.refers("wallet", KindWallet, d.Pool.Wallet) {
			if w := v.set.Wallet(d.Pool.Wallet); w != nil && w.Coin != d.Pool.Coin {
				v.bad("wallet", "%q is a wallet of %s, not of %s", d.Pool.Wallet, w.Coin, d.Pool.Coin)
			}
		}
	case d.Wallet != nil:
		if v.refers("coin", KindCoin, string(d.Wallet.Coin)) {
			if c := v.set.Coin(d.Wallet.Coin); c != nil {
				if err := c.Address.Check(d.Wallet.Address); err != nil {
					v.bad("address", "%s", err)
				}
			}
		}
	case d.Tenant != nil:
		v.money("budget", d.Tenant.Budget)
		v.money("transferPrice", d.Tenant.TransferPrice)
	case d.Feed != nil:
		v.feed(d.Feed)
	case d.RoleBinding != nil:
		v.scope(d.RoleBinding.Scope)
	}
}

func (v *validator) tariff(t *Tariff) {
	if t.Currency != v.currency {
		v.bad("currency", "is %s but the cluster accounts in %s", t.Currency, v.currency)
	}
	if v.refers("feed", KindFeed, t.Feed) && t.Feed != "" {
		f := v.set.Feed(t.Feed)
		_, per, _ := strings.Cut(f.Unit, "/")
		if per != "kWh" && per != "MWh" {
			v.bad("feed", "%q gives %s, not a price per kWh or MWh", t.Feed, unitOf(f))
		} else if f.Currency != "" && f.FX == "" && f.Currency != t.Currency {
			v.bad("feed", "%q is in %s but the tariff is in %s", t.Feed, f.Currency, t.Currency)
		}
	}
}

func unitOf(f *Feed) string {
	if f.Unit == "" {
		return "a plain price"
	}
	return f.Unit
}

func (v *validator) coin(c *Coin) {
	for _, r := range []struct {
		path string
		feed *FeedRef
	}{{"hashprice", c.Hashprice}, {"price", c.Price}, {"difficulty", c.Difficulty}} {
		if r.feed == nil || !v.refers(r.path+".feed", KindFeed, r.feed.Feed) {
			continue
		}
		f := v.set.Feed(r.feed.Feed)
		if _, _, err := workload.ParseHashprice("1", f.Unit); (err == nil) != (r.path == "hashprice") {
			v.bad(r.path+".feed", "%q gives %s, which is no %s", r.feed.Feed, unitOf(f), r.path)
		}
	}
}

func (v *validator) feed(f *Feed) {
	currency := f.Currency
	if before, _, ok := strings.Cut(f.Unit, "/"); ok && workload.ValidCurrency(before) {
		if currency != "" && currency != before {
			v.bad("unit", "is in %s but currency says %s", before, currency)
		}
		currency = before
	}
	if f.FX != "" {
		if f.FX == v.key.Name {
			v.bad("fx", "is the feed itself")
		} else if v.refers("fx", KindFeed, f.FX) && v.set.Feed(f.FX).FX != "" {
			v.bad("fx", "%q is itself converted: name a feed in %s", f.FX, v.currency)
		}
		return
	}
	if currency != "" && currency != v.currency {
		v.bad("currency", "is %s but the cluster accounts in %s: name the exchange rate's feed in fx", currency, v.currency)
	}
}

// Applies reports whether a calendar concerns a site. Territories are
// hierarchical: RU covers RU-IRK.
func (c *Calendar) Applies(name workload.SiteName, s *Site) bool {
	if s != nil && c.Exempt != nil && c.Exempt.OwnIsolatedGeneration && s.Power.OwnIsolatedGeneration {
		return false
	}
	switch {
	case c.Site != "":
		return c.Site == name
	case c.Territory != "":
		return s != nil && (s.Territory == c.Territory || strings.HasPrefix(s.Territory, c.Territory+"-"))
	}
	return true
}

// Forbidding reports whether the calendar forbids an activity.
func (c *Calendar) Forbidding(a Activity) bool { return slices.Contains(c.Forbids, a) }
