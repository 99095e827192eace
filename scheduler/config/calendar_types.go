package config

// Date is a calendar day "2026-12-01", meaningful in a site's zone. Dates
// compare as strings.
type Date string

// MonthDay is a day of every year, "11-15". They compare as strings.
type MonthDay string

// Weekdays is a set of days: bit 0 is Monday, bit 6 Sunday; 0 means every day.
type Weekdays uint8

// Hours is a part of the local day in minutes since midnight, From included
// and To not; To may be 1440. To <= From spans midnight and belongs to the day
// on which it begins.
type Hours struct {
	From int `json:"from"`
	To   int `json:"to"`
}
