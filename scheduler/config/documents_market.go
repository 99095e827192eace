package config

import (
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Coin is something to mine. What its work earns comes either from a feed of
// the hashprice, or from feeds of price and difficulty with the block's terms.
type Coin struct {
	Algorithm  string   `json:"algorithm" doc:"algorithm,word,required"`
	Hashprice  *FeedRef `json:"hashprice,omitempty" doc:"hashprice"`
	Price      *FeedRef `json:"price,omitempty" doc:"price"`
	Difficulty *FeedRef `json:"difficulty,omitempty" doc:"difficulty"`
	Block      *Block   `json:"block,omitempty" doc:"block"`
	Risk       Risk     `json:"risk,omitzero" doc:"risk"`
	Address    *Address `json:"address,omitempty" doc:"address"`
}

// FeedRef names a feed.
type FeedRef struct {
	Feed string `json:"feed" doc:"feed,name,required"`
}

// Block turns a difficulty into work and a block into coins.
type Block struct {
	Reward              int64 `json:"reward" doc:"reward,decimal,required"` // millionths of a coin
	HashesPerDifficulty int64 `json:"hashes_per_difficulty,omitempty" doc:"hashesPerDifficulty,int"`
}

// Risk is what the price of a coin does not say.
type Risk struct {
	Haircut  workload.PPM  `json:"haircut,omitempty" doc:"haircut,share"`    // taken off every estimate
	MaxShare *workload.PPM `json:"max_share,omitempty" doc:"maxShare,share"` // of the fleet's revenue
	Convert  string        `json:"convert,omitempty" doc:"convert,enum:never|hourly|daily|weekly|monthly"`
}

// AddressFormat names a check of wallet addresses.
type AddressFormat string

const (
	AddressBech32      AddressFormat = "bech32"      // bech32 or bech32m with the prefix
	AddressBase58Check AddressFormat = "base58check" // four bytes of double SHA-256
	AddressCashAddr    AddressFormat = "cashaddr"    // prefix:payload with its own checksum
	AddressAny         AddressFormat = "any"
)

// Address says how a coin's addresses are checked.
type Address struct {
	// Formats: an address must satisfy one of them.
	Formats []AddressFormat `json:"formats" doc:"format,enum:bech32|base58check|cashaddr|any,required"`
	Prefix  string          `json:"prefix,omitempty" doc:"prefix,word"` // human-readable part of bech32 and cashaddr
}

// Scheme is how a pool pays.
type Scheme string

const (
	SchemeFPPS  Scheme = "FPPS"
	SchemePPS   Scheme = "PPS"
	SchemePPLNS Scheme = "PPLNS"
	SchemeSOLO  Scheme = "SOLO"
)

// Pool is where a coin is mined.
type Pool struct {
	Coin      workload.CoinName `json:"coin" doc:"coin,coin,required"`
	Endpoints []string          `json:"endpoints" doc:"endpoints,endpoint,required"` // in order of preference
	Scheme    Scheme            `json:"scheme" doc:"scheme,enum:FPPS|PPS|PPLNS|SOLO,required"`
	Window    time.Duration     `json:"window,omitempty" doc:"window,span"` // of PPLNS
	Fee       workload.PPM      `json:"fee,omitempty" doc:"fee,share"`
	Wallet    string            `json:"wallet" doc:"wallet,name,required"`
}

// Wallet is where a coin's payouts go.
type Wallet struct {
	Coin      workload.CoinName `json:"coin" doc:"coin,coin,required"`
	Address   string            `json:"address" doc:"address,word,required"`
	Signature string            `json:"signature,omitempty" doc:"signature,word"` // Ed25519 over the payout policy, base64
}

// Miner is one entry of the miner catalogue.
type Miner struct {
	Version    string       `json:"version,omitempty" doc:"version,word"`
	Program    string       `json:"program,omitempty" doc:"program,word"` // path or name of the executable; default the entry's name
	SHA256     string       `json:"sha256,omitempty" doc:"sha256,sha256"`
	Algorithms []string     `json:"algorithms" doc:"algorithms,word,required"`
	Devices    []string     `json:"devices" doc:"devices,enum:cpu|cuda|netminer|opencl|serial|sim,required"`
	Args       []string     `json:"args" doc:"args,arg,required"` // with the placeholders of package workload/mining
	API        *MinerAPI    `json:"api,omitempty" doc:"api"`
	DevFee     workload.PPM `json:"dev_fee,omitempty" doc:"devFee,share"`
}

// MinerAPI says how a miner is asked for its figures: a known kind, or JSON
// paths into the reply of a URL path.
type MinerAPI struct {
	Kind     string `json:"kind,omitempty" doc:"kind,word"`
	Path     string `json:"path,omitempty" doc:"path,text"`
	Hashrate string `json:"hashrate,omitempty" doc:"hashrate,text"`
	Accepted string `json:"accepted,omitempty" doc:"accepted,text"`
	Rejected string `json:"rejected,omitempty" doc:"rejected,text"`
	Power    string `json:"power,omitempty" doc:"power,text"`
}

// DeviceProfile is what one model does: its document's name is the model.
type DeviceProfile struct {
	Modes    []Mode           `json:"modes,omitempty" doc:"modes"`
	Training *TrainingProfile `json:"training,omitempty" doc:"training"`
	Idle     int64            `json:"idle" doc:"idle,watts,required"` // watts at the board when parked
	Switch   *Switch          `json:"switch,omitempty" doc:"switch"`
}

// Mode is one way to mine: hashrate in milli-hashes/s, watts at the board.
type Mode struct {
	Algorithm string `json:"algorithm" doc:"algorithm,word,required"`
	Hashrate  int64  `json:"hashrate" doc:"hashrate,hashrate,required"`
	Power     int64  `json:"power" doc:"power,watts,required"`
	PowerCap  int64  `json:"power_cap,omitempty" doc:"powerCap,watts"` // board power limit to set; 0 = none
}

// TrainingProfile gives speed relative to the reference device, in ppm.
type TrainingProfile struct {
	Speed workload.PPM `json:"speed" doc:"speed,factor,required"`
	Power int64        `json:"power" doc:"power,watts,required"`
	Steps []PowerStep  `json:"power_steps,omitempty" doc:"powerSteps"`
}

// PowerStep is the speed, relative to the device's own, under a power cap.
type PowerStep struct {
	Cap   int64        `json:"cap" doc:"cap,watts,required"`
	Speed workload.PPM `json:"speed" doc:"speed,factor,required"`
}

// Switch is what a change of use costs.
type Switch struct {
	Warmup time.Duration `json:"warmup,omitempty" doc:"warmup,span"` // until the hashrate is reached
}

// Tenant is who jobs belong to.
type Tenant struct {
	Guarantee int     `json:"guarantee,omitempty" doc:"guarantee,gpus"` // devices it can always have
	Borrow    int     `json:"borrow,omitempty" doc:"borrow,gpus"`       // devices beyond that while others leave them
	Budget    *Amount `json:"budget,omitempty" doc:"budget,per:month"`
	// TransferPrice is what its jobs are worth where they bid nothing, per
	// GPU-hour.
	TransferPrice *Amount `json:"transfer_price,omitempty" doc:"transferPrice,per:GPU-h"`
	Users         []User  `json:"users,omitempty" doc:"users"`
}

// User maps a name of run.user to an account of the nodes.
type User struct {
	Name    string `json:"name" doc:"name,word,required"`
	Account string `json:"account" doc:"account,word,required"`
}

// Feed is where a number comes from.
type Feed struct {
	Sources []FeedSource `json:"sources" doc:"sources,,required"`
	// Currency of a price. Another than the accounting currency names in FX
	// the feed of the accounting currency's units it is worth.
	Currency string `json:"currency,omitempty" doc:"currency,currency"`
	// Unit of the number where it is not a plain price: USD/TH/day, USD/MWh,
	// difficulty, TH/s, C.
	Unit string `json:"unit,omitempty" doc:"unit,feedUnit"`
	FX   string `json:"fx,omitempty" doc:"fx,name"`
	Gate Gate   `json:"gate,omitzero" doc:"gate"`
}

// FeedSource is one of URL (with Path), File (with Column) and Value.
type FeedSource struct {
	URL    string        `json:"url,omitempty" doc:"url,url"`
	Path   string        `json:"path,omitempty" doc:"path,text"` // JSON path into the reply
	File   string        `json:"file,omitempty" doc:"file,path"`
	Column string        `json:"column,omitempty" doc:"column,text"`
	Value  string        `json:"value,omitempty" doc:"value,number"` // a constant, as a decimal
	Every  time.Duration `json:"every,omitempty" doc:"every,span"`
}

// Gate says when a value is not to be believed.
type Gate struct {
	Stale time.Duration `json:"stale,omitempty" doc:"stale,span"`
	Jump  *workload.PPM `json:"jump,omitempty" doc:"jump,change"` // largest change between two values; may exceed 100 %
	Agree int           `json:"agree,omitempty" doc:"agree,int"`  // sources that must agree
	Min   string        `json:"min,omitempty" doc:"min,number"`
	Max   string        `json:"max,omitempty" doc:"max,number"`
}

// RoleBinding gives people a role.
type RoleBinding struct {
	Role     string   `json:"role" doc:"role,enum:viewer|user|operator|finance|admin,required"`
	Subjects []string `json:"subjects" doc:"subjects,text,required"`
	Scope    *Scope   `json:"scope,omitempty" doc:"scope"`
}
