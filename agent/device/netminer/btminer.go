package netminer

import (
	"context"
	"crypto/aes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
	"github.com/sluice-project/sluice/workload"
)

// The ciphers of Whatsminers are theirs: MD5 and AES in ECB mode hide nothing
// from who can listen, but the device takes orders in no other way.

// MD5Crypt is the fourth field of the md5crypt hash ("$1$salt$hash") that
// btminer derives its keys with.
func MD5Crypt(password, salt string) string {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(salt) > 8 {
		salt = salt[:8]
	}
	inner := md5.Sum([]byte(password + salt + password))
	h := md5.New()
	h.Write([]byte(password + "$1$" + salt))
	for n := len(password); n > 0; n -= 16 {
		h.Write(inner[:min(n, 16)])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte(password[:1]))
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h := md5.New()
		if i&1 != 0 {
			h.Write([]byte(password))
		} else {
			h.Write(sum)
		}
		if i%3 != 0 {
			h.Write([]byte(salt))
		}
		if i%7 != 0 {
			h.Write([]byte(password))
		}
		if i&1 != 0 {
			h.Write(sum)
		} else {
			h.Write([]byte(password))
		}
		sum = h.Sum(nil)
	}
	var out strings.Builder
	put := func(a, b, c byte, n int) {
		v := uint(a)<<16 | uint(b)<<8 | uint(c)
		for range n {
			out.WriteByte(alphabet[v&63])
			v >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		put(sum[i], sum[i+6], sum[last], 4)
	}
	put(0, 0, sum[11], 2)
	return out.String()
}

// ecb encrypts or decrypts whole blocks with AES-256 in ECB mode.
func ecb(key, data []byte, encrypt bool) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, workload.Errorf(workload.Internal, "cipher: %w", err)
	}
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, workload.Errorf(workload.Invalid, "%d enciphered bytes are no whole blocks", len(data))
	}
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += aes.BlockSize {
		if encrypt {
			block.Encrypt(out[i:], data[i:i+aes.BlockSize])
		} else {
			block.Decrypt(out[i:], data[i:i+aes.BlockSize])
		}
	}
	return out, nil
}

// V2Keys are what a token of API 2 gives for a password.
func V2Keys(password, clock, salt, newsalt string) (key [32]byte, sign string) {
	secret := MD5Crypt(password, salt)
	return sha256.Sum256([]byte(secret)), MD5Crypt(secret+clock, newsalt)
}

// V2Seal enciphers a command of API 2, padded with zeros; V2Open undoes it.
func V2Seal(key [32]byte, plain []byte) (string, error) {
	for len(plain)%aes.BlockSize != 0 {
		plain = append(plain, 0)
	}
	sealed, err := ecb(key[:], plain, true)
	return base64.StdEncoding.EncodeToString(sealed), err
}

// V2Open deciphers what V2Seal made.
func V2Open(key [32]byte, text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "enciphered reply: %w", err)
	}
	plain, err := ecb(key[:], data, false)
	return []byte(strings.TrimRight(string(plain), "\x00")), err
}

// v2Order sends a command that needs a token. Denied: the password is wrong or
// the device takes no orders over its API.
func (m *Miner) v2Order(ctx context.Context, cmd string, params map[string]string) error {
	body, err := command(ctx, m.Host, m.Ports.RPC, []byte(`{"cmd":"get_token"}`))
	if err != nil {
		return err
	}
	r, err := lenient.Parse(body)
	if err != nil {
		return err
	}
	msg := r.Value.Get("Msg")
	if msg.Get("salt").Str() == "" {
		return workload.Errorf(workload.Denied, "%s gives no token: %s", m.Host, trimTo(msg.Str(), 64)).Hint("switch the API on with the maker's tool, and change the password")
	}
	key, sign := V2Keys(m.Login.Password, msg.Get("time").Str(), msg.Get("salt").Str(), msg.Get("newsalt").Str())
	order := map[string]string{"cmd": cmd, "token": sign}
	maps.Copy(order, params)
	plain, err := json.Marshal(order)
	if err != nil {
		return workload.Errorf(workload.Internal, "order %s: %w", cmd, err)
	}
	sealed, err := V2Seal(key, plain)
	if err != nil {
		return err
	}
	reply, err := command(ctx, m.Host, m.Ports.RPC, []byte(`{"enc":1,"data":"`+sealed+`"}`))
	if err != nil {
		return err
	}
	if r, err = lenient.Parse(reply); err != nil {
		return err
	}
	if enc := r.Value.Get("enc"); enc.Kind == lenient.String {
		plain, err := V2Open(key, enc.Str())
		if err != nil {
			return err
		}
		if r, err = lenient.Parse(plain); err != nil {
			return workload.Errorf(workload.Denied, "%s answers in a cipher that is not ours: the password is wrong", m.Host)
		}
	}
	if s := r.Value.Get("STATUS").Str(); s != "S" {
		return workload.Errorf(workload.Denied, "%s refuses %s: %s", m.Host, cmd, trimTo(first(r.Value.Get("Msg").Str(), r.Value.Path("STATUS", "Msg").Str(), s), 64))
	}
	return nil
}

// v3Ask sends a command of API 3 that needs no token.
func (m *Miner) v3Ask(ctx context.Context, cmd, param string) ([]byte, error) {
	request := map[string]string{"cmd": cmd}
	if param != "" {
		request["param"] = param
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, workload.Errorf(workload.Internal, "request %s: %w", cmd, err)
	}
	conn, err := dial(ctx, m.Host, m.Ports.V3)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return frame(ctx, conn, text)
}

// V3Token is the token of an order of API 3, and the key for what it hides.
func V3Token(cmd, password, salt, clock string) (string, [32]byte) {
	digest := sha256.Sum256([]byte(cmd + password + salt + clock))
	return base64.StdEncoding.EncodeToString(digest[:])[:8], digest
}

// v3Order sends a command of API 3 with a token; hide enciphers its parameter.
func (m *Miner) v3Order(ctx context.Context, cmd string, param any, hide bool) error {
	body, err := m.v3Ask(ctx, "get.device.info", "salt")
	if err != nil {
		return err
	}
	r, err := lenient.Parse(body)
	if err != nil {
		return err
	}
	salt := first(r.Value.Path("msg", "salt").Str(), scalar(r.Value.Get("msg")))
	clock := time.Now().Unix()
	token, key := V3Token(cmd, m.Login.Password, salt, strconv.FormatInt(clock, 10))
	if hide {
		plain, err := json.Marshal(param)
		if err != nil {
			return workload.Errorf(workload.Internal, "order %s: %w", cmd, err)
		}
		pad := aes.BlockSize - len(plain)%aes.BlockSize
		plain = append(plain, []byte(strings.Repeat(string(rune(pad)), pad))...)
		sealed, err := ecb(key[:], plain, true)
		if err != nil {
			return err
		}
		param = base64.StdEncoding.EncodeToString(sealed)
	}
	text, err := json.Marshal(map[string]any{"cmd": cmd, "ts": clock, "token": token, "account": "super", "param": param})
	if err != nil {
		return workload.Errorf(workload.Internal, "order %s: %w", cmd, err)
	}
	conn, err := dial(ctx, m.Host, m.Ports.V3)
	if err != nil {
		return err
	}
	defer conn.Close()
	reply, err := frame(ctx, conn, text)
	if err != nil {
		return err
	}
	if r, err = lenient.Parse(reply); err != nil {
		return err
	}
	switch code := r.Value.Get("code").Str(); code {
	case "0":
		return nil
	case "-2":
		return workload.Errorf(workload.NotFound, "%s does not know %s", m.Host, cmd)
	default:
		return workload.Errorf(workload.Denied, "%s refuses %s: code %s %s", m.Host, cmd, code, trimTo(first(r.Value.Get("desc").Str(), scalar(r.Value.Get("msg"))), 64))
	}
}
