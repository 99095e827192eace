package emulate

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer"
)

// RPC implements Miner.
func (m *Model) RPC() func([]byte) []byte {
	switch {
	case m.Kind == netminer.AxeOS || m.Version3:
		return nil
	case m.Kind == netminer.Whatsminer:
		return m.btminer
	}
	return m.cgminer
}

// Web implements Miner.
func (m *Model) Web() http.Handler {
	switch m.Kind {
	case netminer.Antminer:
		return http.HandlerFunc(m.cgi)
	case netminer.Braiins:
		return http.HandlerFunc(m.braiins)
	case netminer.AxeOS:
		return http.HandlerFunc(m.axe)
	}
	return nil
}

func envelope(section, description, body string) []byte {
	return fmt.Appendf(nil, `{"STATUS":[{"STATUS":"S","When":1,"Code":1,"Msg":"ok","Description":%q}],%q:%s,"id":1}`, description, section, body)
}

func refusal(text string) []byte {
	return fmt.Appendf(nil, `{"STATUS":[{"STATUS":"E","When":1,"Code":14,"Msg":%q,"Description":"cgminer 4.9.0"}],"id":1}`, text)
}

func poolsJSON(s state) string {
	var parts []string
	for i, p := range s.pools {
		parts = append(parts, fmt.Sprintf(`{"POOL":%d,"URL":%q,"User":%q,"Status":"Alive","Priority":%d,"Stratum Active":%t,"Accepted":7,"Rejected":0}`, i, p.URL, p.User, i, i == 0 && s.ghs > 0))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// cgminer answers what stock Antminers and Braiins OS answer alike.
func (m *Model) cgminer(request []byte) []byte {
	s := m.state()
	description := map[netminer.Family]string{netminer.Antminer: "cgminer 1.0.0", netminer.Braiins: "BOSer boser-openwrt 0.1.0"}[m.Kind]
	switch name, _ := asked(request); name {
	case "stats":
		return envelope("STATS", description, fmt.Sprintf(`[{"BMMiner":"1.0.0","Miner":"49.0.1.3","CompileTime":"Tue Dec 6 16:12:30 CST 2022","Type":%q},
			{"STATS":0,"ID":"BTM_SOC0","Elapsed":%d,"GHS 5s":%d,"GHS av":%d,"rate_unit":"GH","total_rateideal":%d,"fan_num":1,"fan1":5000,"temp_chip1":"60-61","chain_acn1":114,"chain_acs1":"oo","chain_rate1":"%d"}]`,
			m.Name, s.elapsed, s.ghs, s.ghs, m.Rated, s.ghs))
	case "summary":
		return envelope("SUMMARY", description, fmt.Sprintf(`[{"Elapsed":%d,"GHS 5s":%d,"GHS av":%d,"Accepted":7,"Rejected":0}]`, s.elapsed, s.ghs, s.ghs))
	case "pools":
		return envelope("POOLS", description, poolsJSON(s))
	case "version":
		return envelope("VERSION", description, fmt.Sprintf(`[{"Miner":"49.0.1.3","Type":%q}]`, m.Name))
	default:
		return refusal("Invalid command")
	}
}

var nonce = "5f3759df"

var digestField = regexp.MustCompile(`(\w+)="?([^",]*)"?`)

// digested checks a digest login.
func (m *Model) digested(w http.ResponseWriter, r *http.Request) bool {
	fields := map[string]string{}
	for _, f := range digestField.FindAllStringSubmatch(strings.TrimPrefix(r.Header.Get("Authorization"), "Digest "), -1) {
		fields[f[1]] = f[2]
	}
	sum := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	want := sum(strings.Join([]string{sum(m.Login.User + ":antMiner Configuration:" + m.Login.Password), nonce, fields["nc"], fields["cnonce"], "auth", sum(r.Method + ":" + r.URL.Path)}, ":"))
	if fields["response"] == want && fields["nonce"] == nonce {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Digest realm="antMiner Configuration", nonce="`+nonce+`", qop="auth"`)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// cgi is the web server of a stock Antminer.
func (m *Model) cgi(w http.ResponseWriter, r *http.Request) {
	if !m.digested(w, r) {
		return
	}
	s := m.state()
	switch r.URL.Path {
	case "/cgi-bin/get_system_info.cgi":
		fmt.Fprintf(w, `{"minertype":%q,"macaddr":%q,"hostname":"Antminer","system_filesystem_version":"Tue Dec 6"}`, m.Name, mac(r.Host))
	case "/cgi-bin/get_miner_conf.cgi":
		mode := "0"
		if s.asleep {
			mode = "1"
		}
		var pools []map[string]string
		for i := range 3 {
			p := map[string]string{"url": "", "user": "", "pass": ""}
			if i < len(s.pools) {
				p = map[string]string{"url": s.pools[i].URL, "user": s.pools[i].User, "pass": s.pools[i].Password}
			}
			pools = append(pools, p)
		}
		json.NewEncoder(w).Encode(map[string]any{"pools": pools, "api-listen": true, "bitmain-fan-ctrl": false, "bitmain-fan-pwm": "100", "bitmain-work-mode": mode, "bitmain-freq-level": "100"})
	case "/cgi-bin/set_miner_conf.cgi":
		var conf struct {
			Pools []struct{ URL, User, Pass string }
			Mode  json.Number `json:"miner-mode"`
			PWM   string      `json:"bitmain-fan-pwm"`
			Level string      `json:"freq-level"`
		}
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&conf); err != nil || conf.PWM != "100" || conf.Level != "100" {
			http.Error(w, "what was not to be changed is gone", http.StatusBadRequest)
			return
		}
		m.order("set_miner_conf "+conf.Mode.String(), func() {
			m.asleep, m.pools = conf.Mode == "1", nil
			for _, p := range conf.Pools {
				if p.URL != "" {
					m.pools = append(m.pools, netminer.PoolSetting{URL: p.URL, User: p.User, Password: p.Pass})
				}
			}
		})
		io.WriteString(w, `{"stats":"success","code":"M000","msg":"OK!"}`)
	default:
		http.NotFound(w, r)
	}
}

// braiins is the REST API of Braiins OS.
func (m *Model) braiins(w http.ResponseWriter, r *http.Request) {
	path, api := strings.CutPrefix(r.URL.Path, "/api/v1/")
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if !api {
		io.WriteString(w, "<html><title>Braiins OS</title></html>")
		return
	}
	if path == "auth/login" {
		var l struct{ Username, Password string }
		if json.Unmarshal(body, &l) != nil || l.Username != m.Login.User || l.Password != m.Login.Password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"token":"t0ken","timeout_s":3600}`)
		return
	}
	if r.Header.Get("Authorization") != "t0ken" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s := m.state()
	switch r.Method + " " + path {
	case "GET miner/details":
		fmt.Fprintf(w, `{"status":%d,"miner_identity":{"name":%q},"mac_address":%q,"bos_version":{"current":"25.07"},"bosminer_uptime_s":%d,"sticker_hashrate":{"gigahash_per_second":%d}}`,
			map[bool]int{false: 2, true: 3}[s.asleep], m.Name, mac(r.Host), s.elapsed, m.Rated)
	case "GET miner/stats":
		fmt.Fprintf(w, `{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":%d}}},"pool_stats":{"accepted_shares":7},"power_stats":{"approximated_consumption":{"watt":%d}}}`, s.ghs, s.watts)
	case "GET performance/tuner-state":
		fmt.Fprintf(w, `{"overall_tuner_state":2,"mode_state":{"powertargetmodestate":{"current_target":{"watt":%d}}}}`, s.target)
	case "GET pools":
		var pools []map[string]any
		for i, p := range s.pools {
			pools = append(pools, map[string]any{"url": p.URL, "user": p.User, "active": i == 0 && s.ghs > 0, "alive": true})
		}
		json.NewEncoder(w).Encode([]map[string]any{{"name": "default", "pools": pools}})
	case "PUT pools/batch":
		var groups []struct{ Pools []netminer.PoolSetting }
		if json.Unmarshal(body, &groups) != nil || len(groups) == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m.order("pools/batch", func() { m.pools = groups[0].Pools })
	case "PUT performance/power-target":
		var p struct{ Watt int64 }
		if json.Unmarshal(body, &p) != nil || p.Watt <= 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m.order("power-target", func() { m.target = p.Watt })
	case "PUT actions/pause":
		m.order("pause", func() { m.asleep = true })
	case "PUT actions/resume":
		m.order("resume", func() { m.asleep = false })
	default:
		http.NotFound(w, r)
	}
}

// axe is the web server of a Bitaxe.
func (m *Model) axe(w http.ResponseWriter, r *http.Request) {
	s := m.state()
	pool := s.pools[0]
	host, port, _ := strings.Cut(strings.TrimPrefix(pool.URL, "stratum+tcp://"), ":")
	switch r.Method + " " + r.URL.Path {
	case "GET /":
		io.WriteString(w, "<html><title>AxeOS</title></html>")
	case "GET /api/system/info":
		fmt.Fprintf(w, `{"ASICModel":"BM1370","boardVersion":"601","version":"v2.9.0","macAddr":%q,"frequency":525,"smallCoreCount":2040,"hashRate":%d,"power":%d,"temp":58.5,"fanrpm":4000,"fanspeed":40,
			"uptimeSeconds":%d,"stratumURL":%q,"stratumPort":%s,"stratumUser":%q,"miningPaused":%t,"sharesAccepted":3,"sharesRejected":0}`, mac(r.Host), s.ghs, s.watts, s.elapsed, host, port, pool.User, s.asleep)
	case "PATCH /api/system":
		var p struct {
			StratumURL, StratumUser string
			StratumPort             int
		}
		if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&p) != nil || p.StratumPort == 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m.order("patch", func() {
			m.pools = []netminer.PoolSetting{{URL: "stratum+tcp://" + p.StratumURL + ":" + strconv.Itoa(p.StratumPort), User: p.StratumUser}}
		})
	case "POST /api/system/pause":
		m.order("pause", func() { m.asleep = true })
	case "POST /api/system/resume":
		m.order("resume", func() { m.asleep = false })
	case "POST /api/system/restart":
	default:
		http.NotFound(w, r)
	}
}

const salt, newsalt, clock = "BQ5hoXV9", "jbzkfQls", "5626"

// btminer is API 2 of a Whatsminer.
func (m *Model) btminer(request []byte) []byte {
	var r struct {
		Cmd, Command, Data string
		Enc                int
	}
	if err := json.Unmarshal(request, &r); err != nil {
		return refusal("Invalid JSON")
	}
	s := m.state()
	if r.Enc == 1 {
		key, sign := netminer.V2Keys(m.Login.Password, clock, salt, newsalt)
		plain, err := netminer.V2Open(key, r.Data)
		order := map[string]string{}
		if err != nil || json.Unmarshal(plain, &order) != nil || order["token"] != sign {
			return []byte(`{"STATUS":"E","When":1,"Code":135,"Msg":"enc json load err","Description":""}`)
		}
		reply := `{"STATUS":"S","When":1,"Code":131,"Msg":"API command OK","Description":""}`
		if !m.v2Order(order) {
			reply = `{"STATUS":"E","When":1,"Code":132,"Msg":"invalid order","Description":""}`
		}
		sealed, _ := netminer.V2Seal(key, []byte(reply))
		return []byte(`{"enc":"` + sealed + `"}`)
	}
	switch name := r.Cmd + r.Command; name {
	case "get_token":
		return fmt.Appendf(nil, `{"STATUS":"S","When":1,"Code":134,"Msg":{"time":%q,"salt":%q,"newsalt":%q},"Description":""}`, clock, salt, newsalt)
	case "summary":
		return envelope("SUMMARY", "cgminer 4.9.2", fmt.Sprintf(`[{"Elapsed":%d,"HS RT":%d,"MHS av":%d,"Power":%d,"Power Limit":%d,"Power Mode":"Normal","Factory GHS":%d,"Chip Temp Max":80.5,"Fan Speed In":5000,"MAC":%q,"Accepted":5}]`,
			s.elapsed, s.ghs*1000, s.ghs*1000, s.watts, s.target, m.Rated, mac(m.Name)))
	case "pools":
		return envelope("POOLS", "cgminer 4.9.2", poolsJSON(s))
	case "get_version":
		return []byte(`{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"2.0.5","fw_ver":"20230511.16.Rel"},"Description":""}`)
	case "status":
		return fmt.Appendf(nil, `{"STATUS":"S","When":1,"Code":131,"Msg":{"btmineroff":"%t","Firmware Version":"x"},"Description":"btminer"}`, s.asleep)
	case "get_error_code":
		return []byte(`{"STATUS":"S","When":1,"Code":131,"Msg":{"error_code":[]},"Description":""}`)
	case "version", "devdetails", "devs":
		return fmt.Appendf(nil, `{"STATUS":[{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":"btminer"}],"id":1}`)
	}
	return refusal("invalid cmd")
}

func (m *Model) v2Order(order map[string]string) bool {
	switch cmd := order["cmd"]; cmd {
	case "power_off":
		m.order(cmd, func() { m.asleep = true })
	case "power_on":
		m.order(cmd, func() { m.asleep = false })
	case "adjust_power_limit":
		n, err := strconv.ParseInt(order["power_limit"], 10, 64)
		if err != nil {
			return false
		}
		m.order(cmd, func() { m.target = n })
	case "update_pools":
		m.order(cmd, func() {
			m.pools = nil
			for _, n := range []string{"1", "2", "3"} {
				if order["pool"+n] != "" {
					m.pools = append(m.pools, netminer.PoolSetting{URL: order["pool"+n], User: order["worker"+n], Password: order["passwd"+n]})
				}
			}
		})
	default:
		return false
	}
	return true
}

// V3 implements Miner.
func (m *Model) V3() func([]byte) []byte {
	if !m.Version3 {
		return nil
	}
	return m.v3
}

func (m *Model) v3(request []byte) []byte {
	var r struct {
		Cmd, Token string
		TS         int64
		Param      any
	}
	if json.Unmarshal(request, &r) != nil {
		return []byte(`{"code":-1,"msg":"bad json"}`)
	}
	s := m.state()
	if r.Cmd == "get.device.info" {
		return fmt.Appendf(nil, `{"code":0,"when":1,"msg":{"salt":%q,"miner":{"type":%q,"working":"%t"},"network":{"mac":%q},"system":{"api":"3.0.1","fwversion":"20250101.1"}},"desc":"get.device.info"}`,
			salt, m.Name, !s.asleep, mac(m.Name))
	}
	if r.Cmd == "get.miner.status" {
		switch r.Param {
		case "summary":
			return fmt.Appendf(nil, `{"code":0,"when":1,"msg":{"summary":{"elapsed":%d,"hash-realtime":%d.%03d,"hash-average":%d,"factory-hash":%d,"power-realtime":%d,"power-limit":%d,"fan-speed-in":5000}},"desc":""}`,
				s.elapsed, s.ghs/1000, s.ghs%1000, s.ghs/1000, m.Rated/1000, s.watts, s.target)
		case "pools":
			var pools []map[string]any
			for i, p := range s.pools {
				pools = append(pools, map[string]any{"url": p.URL, "account": p.User, "status": "alive", "stratum-active": i == 0 && s.ghs > 0})
			}
			body, _ := json.Marshal(map[string]any{"code": 0, "when": 1, "msg": map[string]any{"pools": pools}, "desc": ""})
			return body
		}
		return []byte(`{"code":0,"when":1,"msg":{"edevs":[]},"desc":""}`)
	}
	token, key := netminer.V3Token(r.Cmd, m.Login.Password, salt, strconv.FormatInt(r.TS, 10))
	if token != r.Token {
		return []byte(`{"code":-4,"msg":"no permission"}`)
	}
	return m.v3Order(r.Cmd, r.Param, key)
}

func (m *Model) v3Order(cmd string, param any, key [32]byte) []byte {
	ok := []byte(`{"code":0,"when":1,"msg":"ok","desc":""}`)
	switch cmd {
	case "set.miner.service":
		m.order(cmd, func() { m.asleep = param == "stop" })
	case "set.miner.power_limit":
		watts, number := param.(float64)
		if !number {
			return []byte(`{"code":-1,"msg":"bad limit"}`)
		}
		m.order(cmd, func() { m.target = int64(watts) })
	case "set.miner.pools":
		plain, err := v3Open(key, param)
		var pools []struct{ Pool, Worker, Passwd string }
		if err != nil || json.Unmarshal(plain, &pools) != nil {
			return []byte(`{"code":-1,"msg":"bad pools"}`)
		}
		m.order(cmd, func() {
			m.pools = nil
			for _, p := range pools {
				m.pools = append(m.pools, netminer.PoolSetting{URL: p.Pool, User: p.Worker, Password: p.Passwd})
			}
		})
	default:
		return []byte(`{"code":-2,"msg":"unknown command"}`)
	}
	return ok
}

// v3Open is written apart from the driver's cipher, so that a fault there
// shows.
func v3Open(key [32]byte, param any) ([]byte, error) {
	text, _ := param.(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("not enciphered: %v", err)
	}
	var block cipher.Block
	if block, err = aes.NewCipher(key[:]); err != nil {
		return nil, err
	}
	for i := 0; i < len(data); i += aes.BlockSize {
		block.Decrypt(data[i:], data[i:i+aes.BlockSize])
	}
	pad := int(data[len(data)-1])
	if pad < 1 || pad > aes.BlockSize || pad > len(data) {
		return nil, fmt.Errorf("padding %d", pad)
	}
	return data[:len(data)-pad], nil
}
