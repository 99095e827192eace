package workload

import "testing"

func TestSentenceOfPriceIsTrueForBothUses(t *testing.T) {
	for want, r := range map[string]Reason{
		"nets most of what is open here: net 0.0150 USD/h, next parked, next nets -0.0010 USD/h": Why(CodePrice, RateOf("net", 15_000), Name("next", "parked"), RateOf("next nets", -1000)),
		"what it does nets more: nets less by 0.0075 USD/h":                                      Why(CodePrice, RateOf("nets less by", 7500)),
		"its bid is less than the devices net otherwise: bids per GPU 0.0100 USD/h":              Why(CodePrice, RateOf("bids per GPU", 10_000)),
		"nets most of what is open here":                                                         Why(CodePrice),
		"a calendar forbids mining here now: calendar winter":                                    Why(CodeBan, Name("calendar", "winter")),
		"something_new": Why("SOMETHING_NEW"),
	} {
		if got := r.Sentence("USD"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
