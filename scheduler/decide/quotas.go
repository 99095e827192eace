package decide

// A quota row is a place row over a tenant's contract: when every job of width
// w counts floor(w/t) places, the tenant's jobs cannot take more than
// floor(limit/t). One row per contract and distinct width t of the tenant's
// usable offers that does not divide the limit; they price the leaves of a tree.
type quotaRow struct {
	tenant int
	t      int64
	limit  int64
}

func (in *instance) compileQuotas() {
	if in.tenQuota != nil {
		return
	}
	p := in.p
	widths := make([][]int, p.Tenants)
	for f, o := range p.Offers {
		if t := p.Jobs[o.Job].Tenant; in.usable[f] && o.Width > 1 {
			widths[t] = insertSorted(widths[t], int(o.Width))
		}
	}
	in.tenQuota = make([][]int, p.Tenants)
	for _, r := range p.Rows {
		if r.Kind != RowTenant {
			continue
		}
		for _, t := range widths[r.Tenant] {
			if r.Limit%int64(t) != 0 {
				in.tenQuota[r.Tenant] = append(in.tenQuota[r.Tenant], len(in.quotas))
				in.quotas = append(in.quotas, quotaRow{r.Tenant, int64(t), r.Limit / int64(t)})
			}
		}
	}
}
