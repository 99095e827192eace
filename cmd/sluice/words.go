package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

// What is not known is shown as a dash, never as zero.
const unknown = "-"

func perHour(micro int64, currency string) string {
	return workload.RateOf("", workload.Rate(micro)).Show(currency)
}

func share(ppm int64) string { return workload.Share("", workload.PPM(ppm)).Show("") }

func perKWh(micro int64, currency string) string { return workload.Price("", micro).Show(currency) }

func span(ms int64) string { return workload.FormatSpan(time.Duration(ms) * time.Millisecond) }

func watts(w int64) string {
	if w < 0 {
		return unknown
	}
	return workload.FormatWatts(w)
}

func known(v int64) string {
	if v < 0 {
		return unknown
	}
	return strconv.FormatInt(v, 10)
}

func dash(s string) string {
	if s == "" {
		return unknown
	}
	return s
}

func simMark(is bool) string {
	if is {
		return "sim"
	}
	return ""
}

// at shows an instant in local time, or in UTC with --utc; 0 is "not yet".
func (a *app) at(ms int64) string {
	if ms == 0 {
		return unknown
	}
	if a.view.utc {
		return workload.Instant(ms).Time().Format("2006-01-02 15:04:05Z")
	}
	return workload.Instant(ms).Time().Local().Format("2006-01-02 15:04:05")
}

// clock shows the time of day where ref is the same day, else the date too.
func (a *app) clock(ms, ref int64) string {
	full := a.at(ms)
	if day := a.at(ref); ms != 0 && len(day) >= 11 && strings.HasPrefix(full, day[:11]) {
		return full[11:]
	}
	return full
}

// stamp is the form for programs: RFC 3339 in UTC.
func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return workload.Instant(ms).Time().Format(time.RFC3339)
}

func count(n int64, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	return fmt.Sprintf("%d %ss", n, singular)
}

// sentence is a reason as the server worded it or, where it did not, in the
// words of package workload.
func sentence(r *sluicev1.Reason, currency string) string {
	if r.GetText() != "" || r.GetCode() == "" {
		return r.GetText()
	}
	reason := workload.Reason{Code: workload.Code(r.GetCode())}
	for _, f := range r.GetFigures() {
		reason.Figures = append(reason.Figures, workload.Figure{Name: f.GetName(), Value: f.GetValue(), Text: f.GetText(), Unit: workload.FigureUnit(f.GetUnit())})
	}
	return reason.Sentence(currency)
}

// planWords says which plan an answer rests on.
func planWords(p *sluicev1.PlanSummary) string {
	if p.GetId() == 0 {
		return "no plan yet"
	}
	return fmt.Sprintf("plan %d, gap %s proven", p.GetId(), share(p.GetGapPpm()))
}

// lines prints labelled lines with the labels in one column.
type lines struct {
	a      *app
	indent string
	rows   [][2]string
}

func (l *lines) add(label, format string, args ...any) {
	l.rows = append(l.rows, [2]string{label, fmt.Sprintf(format, args...)})
}

func (l *lines) print() {
	width := 0
	for _, r := range l.rows {
		width = max(width, len(r[0]))
	}
	for _, r := range l.rows {
		fmt.Fprintln(l.a.out, strings.TrimRight(fmt.Sprintf("%s%-*s  %s", l.indent, width, clean(r[0]), clean(r[1])), " "))
	}
}
