package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/proto/wire"
)

// column is one property of the items of a list.
type column[T any] struct {
	name   string // of --columns and --sort
	head   string // of tables, with the unit; CUR stands for the currency
	csv    string // head in CSV where it is not name: with the unit of the bare number
	wide   bool   // only in -o wide and CSV
	cell   func(T) string
	num    func(T) int64  // makes the column a number: right-aligned, sorted and given to CSV as such
	raw    func(T) string // CSV, where neither cell nor num will do
	colour func(T) colour
}

// list says how items are shown; name is their id.
type list[T proto.Message] struct {
	noun     string
	currency *string // known once the items are; nil = none
	columns  []column[T]
	name     func(T) string
}

// show prints items in the format asked for.
func (l list[T]) show(a *app, items []T) error {
	cols, err := l.choose(a)
	if err != nil {
		return err
	}
	items = slices.Clone(items)
	if err := l.sort(a, items); err != nil {
		return err
	}
	switch a.view.format {
	case "name":
		for _, it := range items {
			fmt.Fprintln(a.out, clean(l.name(it)))
		}
		return nil
	case "csv":
		return l.csv(a, cols, items)
	case "jsonl":
		for _, it := range items {
			if _, err := a.out.Write(append(wire.JSON(it), '\n')); err != nil {
				return err
			}
		}
		return nil
	case "json", "yaml":
		b := []byte{'['}
		for i, it := range items {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendJSON(b, it)
		}
		return a.showJSON(append(b, ']'))
	}
	if len(items) == 0 {
		fmt.Fprintf(a.err, "no %s\n", l.noun)
		return nil
	}
	rows := make([][]cell, 0, len(items)+1)
	if !a.view.noHeaders {
		head := make([]cell, len(cols))
		for i, c := range cols {
			head[i] = cell{text: strings.ReplaceAll(c.head, "CUR", l.cur()), right: c.num != nil, colour: bold}
		}
		rows = append(rows, head)
	}
	for _, it := range items {
		row := make([]cell, len(cols))
		for i, c := range cols {
			row[i] = cell{text: clean(c.text(it)), right: c.num != nil}
			if c.colour != nil {
				row[i].colour = c.colour(it)
			}
		}
		rows = append(rows, row)
	}
	a.table(rows)
	return nil
}

func (l list[T]) cur() string {
	if l.currency == nil {
		return ""
	}
	return clean(*l.currency)
}

func (c column[T]) text(it T) string {
	if c.cell != nil {
		return c.cell(it)
	}
	return strconv.FormatInt(c.num(it), 10)
}

// choose picks the columns: those named, or those of the format.
func (l list[T]) choose(a *app) ([]column[T], error) {
	if len(a.view.columns) == 0 {
		var cols []column[T]
		for _, c := range l.columns {
			if !c.wide || a.view.format != "table" {
				cols = append(cols, c)
			}
		}
		return cols, nil
	}
	if !a.forPeople() && a.view.format != "csv" {
		return nil, usagef("--columns is for tables and CSV, not -o %s", a.view.format)
	}
	var cols []column[T]
	for _, name := range a.view.columns {
		c, err := l.column(name)
		if err != nil {
			return nil, err
		}
		cols = append(cols, c)
	}
	return cols, nil
}

func (l list[T]) column(name string) (column[T], error) {
	var names []string
	for _, c := range l.columns {
		if strings.EqualFold(c.name, name) || c.csv != "" && strings.EqualFold(c.csv, name) {
			return c, nil
		}
		names = append(names, c.name)
	}
	e := usagef("there is no column %q", name)
	if near := nearest(name, names); near != "" {
		return column[T]{}, e.Hint("did you mean %q?", near)
	}
	return column[T]{}, e.Hint("columns: %s", strings.Join(names, ", "))
}

func (l list[T]) sort(a *app, items []T) error {
	type key struct {
		column[T]
		sign int
	}
	var keys []key
	for _, name := range a.view.sort {
		bare, down := strings.CutPrefix(name, "-")
		c, err := l.column(bare)
		if err != nil {
			return err
		}
		k := key{c, 1}
		if down {
			k.sign = -1
		}
		keys = append(keys, k)
	}
	slices.SortStableFunc(items, func(x, y T) int {
		for _, k := range keys {
			var order int
			if k.num != nil {
				order = cmp.Compare(k.num(x), k.num(y))
			} else {
				order = natural(k.text(x), k.text(y))
			}
			if order != 0 {
				return order * k.sign
			}
		}
		return 0
	})
	return nil
}

// natural orders text with the numbers in it as numbers: n/9 before n/10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, restA := leadingDigits(a)
		y, restB := leadingDigits(b)
		if x != "" && y != "" {
			if order := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); order != 0 {
				return order
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// leadingDigits returns the digits at the start without leading zeros (but "0"
// for only zeros), and the rest.
func leadingDigits(s string) (string, string) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == 0 {
		return "", s
	}
	digits := strings.TrimLeft(s[:end], "0")
	if digits == "" {
		digits = "0"
	}
	return digits, s[end:]
}

func (l list[T]) csv(a *app, cols []column[T], items []T) error {
	w := csv.NewWriter(a.out)
	row := make([]string, len(cols))
	if !a.view.noHeaders {
		for i, c := range cols {
			row[i] = first(c.csv, c.name)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	for _, it := range items {
		for i, c := range cols {
			switch {
			case c.raw != nil:
				row[i] = guard(c.raw(it))
			case c.num != nil && c.text(it) == unknown:
				row[i] = "" // what is not known is no number
			case c.num != nil:
				row[i] = strconv.FormatInt(c.num(it), 10)
			default:
				row[i] = guard(c.cell(it))
			}
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// guard keeps a spreadsheet from running a cell as a formula: text that starts
// like one is quoted with an apostrophe. Numbers pass.
func guard(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s
	}
	return "'" + s
}

type cell struct {
	text   string
	right  bool
	colour colour
}

// table prints rows in aligned columns, two spaces apart.
func (a *app) table(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	p := a.painter(a.outTTY)
	var b strings.Builder
	for _, row := range rows {
		line := len(row)
		for line > 0 && row[line-1].text == "" {
			line-- // no blanks at the end
		}
		for i, c := range row[:line] {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			switch {
			case c.right:
				b.WriteString(pad + p.paint(c.colour, c.text))
			case i == line-1:
				b.WriteString(p.paint(c.colour, c.text))
			default:
				b.WriteString(p.paint(c.colour, c.text) + pad)
			}
			if i < line-1 {
				b.WriteString("  ")
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprint(a.out, b.String())
}
