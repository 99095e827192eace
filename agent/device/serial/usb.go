package serial

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sysfs is where the kernel describes devices; tests have one of their own.
const sysfs = "/sys"

// usbPort is a serial port as the USB bus describes it.
type usbPort struct {
	Name         string // "ttyACM1"
	Vendor       string // "0403"
	Product      string // "6015"
	Manufacturer string
	Title        string // the product string
	Serial       string
	Interface    int    // -1 = not said
	Bus          string // where it is plugged in, "1-1.2"
	dir          string // of the USB device in sysfs
}

// usbPorts lists the serial ports on USB, in the order of their names.
func usbPorts(sys string) ([]usbPort, error) {
	entries, err := os.ReadDir(filepath.Join(sys, "class/tty"))
	if err != nil {
		return nil, err
	}
	var list []usbPort
	for _, e := range entries {
		if p, ok := usbOf(sys, e.Name()); ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// usbOf describes one port by its name; false when it is not on USB.
func usbOf(sys, name string) (usbPort, bool) {
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, "class/tty", name, "device"))
	if err != nil {
		return usbPort{}, false
	}
	p := usbPort{Name: name, Interface: -1}
	// The port's own directory may be the interface or lie below it; the device
	// is above.
	for range 4 {
		if n, err := strconv.ParseInt(attribute(dir, "bInterfaceNumber"), 16, 32); err == nil && p.Interface < 0 {
			p.Interface = int(n)
		}
		if v := attribute(dir, "idVendor"); v != "" {
			p.Vendor, p.Product = strings.ToLower(v), strings.ToLower(attribute(dir, "idProduct"))
			p.Manufacturer, p.Title, p.Serial = attribute(dir, "manufacturer"), attribute(dir, "product"), attribute(dir, "serial")
			p.Bus, p.dir = filepath.Base(dir), dir
			return p, true
		}
		dir = filepath.Dir(dir)
	}
	return usbPort{}, false
}

// attribute reads a file of sysfs; "" when there is none. What devices say of
// themselves is cut to what can be shown.
func attribute(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	text := strings.TrimSpace(string(data[:min(len(data), 128)]))
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// product is a sort of miner that USB tells by name. Vendor and product numbers
// alone are those of the adapter's maker, and stand for any cable: a port is
// opened only where the strings say that it is a miner.
type product struct {
	name         string // as people call it
	manufacturer string // how the string begins
	title        string // how the product string begins
	chip         string // "" = several; whatever answers
	port         int    // of the device's serial ports, which leads to the chips
	reset        bool   // has a control port with the chips' reset line
}

// products that can be found by themselves. Those with chips that cannot be
// driven are there to be named.
var products = []product{
	{name: "Bitaxe", manufacturer: "OSMU", title: "Bitaxe", port: 1, reset: true},
	{name: "GekkoScience CompacF", manufacturer: "GekkoScience", title: "CompacF", chip: "bm1397"},
	{name: "GekkoScience R909", manufacturer: "GekkoScience", title: "R909", chip: "bm1397"},
	{name: "GekkoScience Compac A1", manufacturer: "GekkoScience", title: "Compac A1", chip: "bm1362"},
	{name: "GekkoScience Terminus A1", manufacturer: "GekkoScience", title: "Terminus A1", chip: "bm1362"},
	{name: "GekkoScience Compac A2", manufacturer: "GekkoScience", title: "Compac A2", chip: "bm1370"},
	{name: "GekkoScience Terminus A2", manufacturer: "GekkoScience", title: "Terminus A2", chip: "bm1370"},
	{name: "GekkoScience NewPac", manufacturer: "GekkoScience", title: "NewPac", chip: "bm1387"},
	{name: "GekkoScience R606", manufacturer: "GekkoScience", title: "R606", chip: "bm1387"},
	{name: "GekkoScience 2Pac", manufacturer: "GekkoScience", title: "2Pac", chip: "bm1384"},
	{name: "GekkoScience Compac", manufacturer: "GekkoScience", title: "Compac", chip: "bm1384"},
	{name: "GekkoScience Terminus", manufacturer: "GekkoScience", title: "Terminus", chip: "bm1384"},
}

// productOf is the first that a port's strings name; nil when it is no miner.
func productOf(p usbPort) *product {
	for i := range products {
		q := &products[i]
		if strings.HasPrefix(p.Manufacturer, q.manufacturer) && strings.HasPrefix(p.Title, q.title) {
			return q
		}
	}
	return nil
}

// siblings are the ports of the same USB device in the order of their
// interfaces.
func siblings(all []usbPort, of usbPort) []usbPort {
	var list []usbPort
	for _, p := range all {
		if p.dir == of.dir {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b usbPort) int { return a.Interface - b.Interface })
	return list
}

// identity of a port that stays with the device wherever it is plugged in, or
// with the place where it has no serial number.
func (p usbPort) identity() string {
	who := p.Serial
	if who == "" {
		who = "at-" + p.Bus
	}
	return word("usb-" + p.Vendor + "-" + p.Product + "-" + who + "-if" + strconv.Itoa(max(p.Interface, 0)))
}

// word keeps what is safe in a name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '-', r == '.', r == '_':
			return r
		}
		return '-'
	}, s)
}

// stablePath is the name of a port under /dev/serial/by-id, which survives
// replugging, or its plain one where udev made none.
func stablePath(dev, name string) string {
	byID := filepath.Join(dev, "serial/by-id")
	entries, _ := os.ReadDir(byID)
	for _, e := range entries {
		link := filepath.Join(byID, e.Name())
		if to, err := os.Readlink(link); err == nil && filepath.Base(to) == name {
			return link
		}
	}
	return filepath.Join(dev, name)
}
