package config

import (
	"fmt"
	"strings"
)

var dayNames = [7]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// ParseWeekdays reads "mon-fri", "sat,sun", "fri-mon".
func ParseWeekdays(s string) (Weekdays, error) {
	var days Weekdays
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		a, b := dayIndex(first), dayIndex(last)
		if a < 0 || b < 0 {
			return 0, bad("days %q are not weekdays such as mon-fri or sat,sun", s)
		}
		for {
			days |= 1 << a
			if a == b {
				break
			}
			a = (a + 1) % 7
		}
	}
	return days, nil
}

func dayIndex(s string) int {
	for i, n := range dayNames {
		if s == n {
			return i
		}
	}
	return -1
}

// Has reports whether the set holds a day; 0 is Monday.
func (d Weekdays) Has(day int) bool { return d == 0 || d&(1<<day) != 0 }

func (d Weekdays) String() string {
	var parts []string
	for i := 0; i < 7; i++ {
		if d&(1<<i) == 0 {
			continue
		}
		j := i
		for j < 6 && d&(1<<(j+1)) != 0 {
			j++
		}
		switch {
		case j == i:
			parts = append(parts, dayNames[i])
		default:
			parts = append(parts, dayNames[i]+"-"+dayNames[j])
		}
		i = j
	}
	return strings.Join(parts, ",")
}

// ParseHours reads "17:00-21:00", "23:00-07:00", "00:00-24:00".
func ParseHours(s string) (Hours, error) {
	from, to, ok := strings.Cut(s, "-")
	a, okA := clockMinutes(strings.TrimSpace(from))
	b, okB := clockMinutes(strings.TrimSpace(to))
	if !ok || !okA || !okB || a == 1440 || a == b {
		return Hours{}, bad("hours %q are not a part of the day such as 23:00-07:00; leave them out for the whole day", s)
	}
	if b == 0 {
		b = 1440
	}
	return Hours{a, b}, nil
}

func clockMinutes(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	return h*60 + m, m < 60 && (h < 24 || h == 24 && m == 0)
}

func (h Hours) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", h.From/60, h.From%60, h.To/60, h.To%60)
}
