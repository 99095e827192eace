package api

import (
	"context"

	"github.com/sluice-project/sluice/proto/sluicev1"
)

func (o *operator) VerifyLedger(ctx context.Context, _ *sluicev1.VerifyLedgerRequest) (*sluicev1.LedgerVerification, error) {
	r, err := o.core.VerifyHistory(ctx)
	m := &sluicev1.LedgerVerification{Ok: r.OK, Entries: r.Entries, ToIndex: r.ToIndex, Head: r.Head, Text: r.Text, DeviceMillis: r.DeviceMillis, Net: int64(r.Net)}
	return answer(o, "VerifyLedger", m, err)
}
