package config

import "time"

// Config is everything that can be set. The yaml tags are the names used in
// files and, joined with underscores in upper case behind IMAGO_, the names of
// environment variables: server.timeouts.request is
// IMAGO_SERVER_TIMEOUTS_REQUEST.
type Config struct {
	Server      Server       `yaml:"server"`
	Auth        Auth         `yaml:"auth"`
	Token       Token        `yaml:"token"`
	Inventory   Inventory    `yaml:"inventory"`
	Collections []Collection `yaml:"collections" validate:"max=64,unique=Name,dive"`
	Expiry      Expiry       `yaml:"expiry"`
	Chips       Chips        `yaml:"chips"`
	Models      Models       `yaml:"models"`
	Inference   Inference    `yaml:"inference"`
	Search      Search       `yaml:"search"`
	Quality     Quality      `yaml:"quality"`
	Store       Store        `yaml:"store"`
	Audit       Audit        `yaml:"audit"`
	Console     Console      `yaml:"console"`
	Log         Log          `yaml:"log"`
}

// Server is the HTTP side.
type Server struct {
	// Listen is host:port or unix:///path of the API.
	Listen string `yaml:"listen" validate:"required,listen"`
	// SocketMode is the octal mode of a Unix socket: who may connect.
	SocketMode string `yaml:"socket_mode" validate:"socketmode"`
	// OpsListen moves /healthz, /readyz and /metrics to a second listener;
	// empty keeps them on the first.
	OpsListen string `yaml:"ops_listen" validate:"omitempty,listen,nefield=Listen"`
	// TLS is for the API's listener; the one for operations stays plain.
	TLS TLS `yaml:"tls"`
	// TrustedProxies are the addresses and networks (CIDR) whose X-Forwarded-For
	// and X-Real-IP are believed; the word unix stands for everybody who
	// connects over a Unix socket.
	TrustedProxies []string `yaml:"trusted_proxies" validate:"max=64,unique,dive,proxy"`
	Timeouts       Timeouts `yaml:"timeouts"`
	Limits         Limits   `yaml:"limits"`
}

// UnixProxy is the entry of Server.TrustedProxies that stands for Unix sockets.
const UnixProxy = "unix"

// What is asked of the certificates of clients.
const (
	ClientAuthNone    = "none"    // nothing
	ClientAuthRequest = "request" // one that is presented must be valid
	ClientAuthRequire = "require" // a valid one must be presented
)

// TLS is the certificate of the API, and what is asked of its clients. The
// files are read again when they change.
type TLS struct {
	// CertFile is a PEM file with the certificate, then those in between, and
	// KeyFile the one with its private key; both empty mean no TLS.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// MinVersion is the oldest version of the protocol that is spoken.
	MinVersion string `yaml:"min_version" validate:"oneof=1.2 1.3"`
	// ClientCAFile is a PEM file with the authorities that sign the
	// certificates of clients.
	ClientCAFile string `yaml:"client_ca_file"`
	ClientAuth   string `yaml:"client_auth" validate:"oneof=none request require"`
}

// Enabled reports whether there is a certificate.
func (t TLS) Enabled() bool { return t.CertFile != "" }

// Timeouts bound every phase of a request.
type Timeouts struct {
	Header   time.Duration `yaml:"header" validate:"min=100ms,max=5m"`                // reading the request header
	Body     time.Duration `yaml:"body" validate:"min=100ms,max=10m,gtefield=Header"` // reading header and body
	Request  time.Duration `yaml:"request" validate:"min=100ms,max=10m"`              // the work on one request
	Idle     time.Duration `yaml:"idle" validate:"min=1s,max=1h"`                     // a kept-alive connection between requests
	Shutdown time.Duration `yaml:"shutdown" validate:"min=0s,max=10m"`                // requests in flight at a graceful stop
	// DrainDelay is how long requests are still served after readiness has turned
	// false, so that gateways have time to notice.
	DrainDelay time.Duration `yaml:"drain_delay" validate:"min=0s,max=10m"`
}

// Limits bound what one request may bring.
type Limits struct {
	// ImageBytes is the largest picture file, in bytes after base64 decoding.
	ImageBytes int `yaml:"image_bytes" validate:"min=1024,max=104857600"`
	// Megapixels is the largest picture, in millions of pixels as declared.
	Megapixels int `yaml:"megapixels" validate:"min=1,max=256"`
	// DecodeMiB is the memory that all decoders together may hold, in MiB.
	DecodeMiB int `yaml:"decode_mib" validate:"min=64,max=65536"`
	// BodyMiB is the memory for the bodies of all requests with pictures that are
	// in progress, in MiB, taken as they arrive; one more is answered 503. A key
	// may hold three times as much of it as is left, and so it is with InFlight.
	BodyMiB int `yaml:"body_mib" validate:"min=16,max=65536"`
	// UploadRate is how many bytes of a body must arrive a second on average, ten
	// seconds from its header on; a slower one is answered 408. 0 means any number.
	UploadRate int `yaml:"upload_rate" validate:"min=0,max=1073741824"`
	// InFlight is how many requests with a valid key may be in progress at once;
	// one more is answered 503.
	InFlight int `yaml:"in_flight" validate:"min=1,max=65536"`
	// Connections is how many connections each listener keeps open at once. For
	// one more another is closed that has no request with a valid key in progress.
	Connections int `yaml:"connections" validate:"min=1,max=1048576"`
}

// Auth says who may call.
type Auth struct {
	// KeysFile is a YAML file with the hashed keys; see `imago keys new`. It is
	// read again when it changes.
	KeysFile string `yaml:"keys_file"`
	// Rate is how many requests a second each key may make; 0 means any number.
	// A key's own rate in the keys file wins.
	Rate float64 `yaml:"rate" validate:"min=0,max=1000000"`
	// Burst is how many requests a key that has been quiet may make at once; 0
	// means those of one second, at least one.
	Burst int `yaml:"burst" validate:"min=0,max=1000000"`
}

// Token is the entrance for encrypted pictures: tokens in the compact
// serialization of JSON Web Encryption (RFC 7516).
type Token struct {
	// KeysFile is a JWK Set (RFC 7517) with the keys that open tokens; see
	// `imago token keygen`. It is read again when it changes. Empty means that
	// every token is refused.
	KeysFile string `yaml:"keys_file"`
	// MaxAge is how long after its iat a token is accepted at most.
	MaxAge time.Duration `yaml:"max_age" validate:"min=1s,max=24h"`
	// ClockSkew is how far the clock of the device may be off.
	ClockSkew time.Duration `yaml:"clock_skew" validate:"min=0s,max=10m"`
	// ReplayCache is how many tokens are remembered so that none is accepted
	// twice; 0 accepts repeated ones.
	ReplayCache int `yaml:"replay_cache" validate:"min=0,max=10000000"`
	// RequireInInventory refuses plain pictures for the inventory of users.
	RequireInInventory bool `yaml:"require_in_inventory"`
}

// Inventory is the collection of users that is always there.
type Inventory struct {
	// Retention is how long after the last enrolment of a face a user is kept; 0 means
	// no end.
	Retention Period `yaml:"retention"`
	// Unique is a similarity in percent that an enrolled face must not reach with another
	// user's; 0 means that several users may have one face.
	Unique float64 `yaml:"unique" validate:"min=0,max=100"`
	// Screen are lists on which an enrolled face must not be.
	Screen []string `yaml:"screen,flow" validate:"max=64,unique"`
	// SamePerson is a similarity in percent that a further face must reach with one of the
	// user's own; 0 means that it may be anybody's.
	SamePerson float64 `yaml:"same_person" validate:"min=0,max=100"`
	// KeepChips has the chip of each face kept, encrypted by the keys of the section chips,
	// so that the gallery can be carried into another model's space.
	KeepChips bool `yaml:"keep_chips"`
}

// Chips says with which keys the chips of faces are encrypted, with AES-256-GCM. Keys are
// written as those of Encryption: the first one encrypts.
type Chips struct {
	// KeyFile is a file with keys. What follows # in a line is a comment.
	KeyFile string `yaml:"key_file"`
	// Key holds the keys themselves; it is for the environment.
	Key Secret `yaml:"key" validate:"excluded_with=KeyFile"`
}

// Expiry is about the users who have expired.
type Expiry struct {
	// EraseWithin is how long after the expiry, or after the start of imago, a user is
	// erased at the latest; nobody sees the user from the expiry on.
	EraseWithin time.Duration `yaml:"erase_within" validate:"min=1s,max=24h"`
}

// Collection is a list beside the inventory of users.
type Collection struct {
	// Name is the list's path segment under /users.
	Name string `yaml:"name" validate:"required,collection"`
	// Shared lists show a user's ID only to the client that enrolled it.
	Shared bool `yaml:"shared"`
	// RequireToken refuses plain pictures for this list.
	RequireToken bool `yaml:"require_token"`
	// Threshold is that of searches of this list that name none, in percent; 0
	// means that of the section search.
	Threshold float64 `yaml:"threshold" validate:"min=0,max=100"`
	// Retention is how long after the last enrolment of a face a user is kept; 0 means
	// no end.
	Retention Period `yaml:"retention"`
	// Unique and Screen are as those of the inventory.
	Unique float64  `yaml:"unique" validate:"min=0,max=100"`
	Screen []string `yaml:"screen,flow" validate:"max=64,unique"`
	// SamePerson is as that of the inventory; 0 means that of the inventory.
	SamePerson float64 `yaml:"same_person" validate:"min=0,max=100"`
	// KeepChips is as that of the inventory.
	KeepChips bool `yaml:"keep_chips"`
}

// Models says which networks to use and where they are.
type Models struct {
	// Dir is the folder with manifests and network files. A manifest there
	// replaces a built-in one of the same name.
	Dir      string `yaml:"dir" validate:"required"`
	Detector string `yaml:"detector" validate:"required,modelname"` // manifest name
	Embedder string `yaml:"embedder" validate:"required,modelname"` // manifest name
}

// Inference sizes the machinery that turns pictures into vectors.
type Inference struct {
	// Library is the path of libonnxruntime; empty means the environment
	// variable IMAGO_ONNXRUNTIME_LIB, then the usual places.
	Library string `yaml:"library"`
	// Workers is how many pictures are worked on at once; 0 means one a core.
	Workers int `yaml:"workers" validate:"min=0,max=1024"`
	// Threads is how many threads one network run may use.
	Threads int `yaml:"threads" validate:"min=1,max=256"`
	// Queue is how many pictures may wait for a worker; one more is answered
	// 503.
	Queue int `yaml:"queue" validate:"min=0,max=65536"`
	// DetectSizes are the longer sides in pixels at which faces are looked
	// for, smallest first; the next is tried only when the one before found
	// nothing sufficient.
	DetectSizes []int `yaml:"detect_sizes" validate:"min=1,max=4,unique,ascending,dive,min=64,max=4096"`
	// Refine measures the landmarks of the chosen face again in five upright
	// crops of it, which makes templates far steadier. It costs five runs on
	// small inputs, or five full runs of a detector with a fixed input size.
	Refine bool `yaml:"refine"`
	// MinScore is the smallest detector confidence that counts as a face.
	MinScore float64 `yaml:"min_score" validate:"min=0,max=1"`
}

// Search holds the defaults of a search request.
type Search struct {
	Threshold float64 `yaml:"threshold" validate:"min=0,max=100"` // percent
	Limit     int     `yaml:"limit" validate:"min=1,max=100"`
	// MaxFalseMatch is the largest chance, 0 to 1, that a search for a stranger
	// may have of finding somebody in a collection of its size; answers to
	// searches with a larger one carry a warning. 0 is for no warnings.
	MaxFalseMatch float64 `yaml:"max_false_match" validate:"min=0,max=1"`
}

// Quality is the gate that a picture passes to be enrolled. Each check can be
// set to 0 to let everything pass.
type Quality struct {
	Enabled bool `yaml:"enabled"`
	// MinFaceWidth is the smallest face box in pixels of the upright original.
	MinFaceWidth int `yaml:"min_face_width" validate:"min=0,max=4096"`
	// MinScore is the smallest detector confidence.
	MinScore float64 `yaml:"min_score" validate:"min=0,max=1"`
	// MinSharpness is the smallest spatial frequency, in radians a pixel, of the
	// aligned face in the direction in which it is lowest.
	MinSharpness float64 `yaml:"min_sharpness" validate:"min=0,max=1"`
	// MinBrightness and MaxBrightness bound the mean luminance of the aligned face
	// (0 to 255), MinContrast is the smallest standard deviation of it.
	MinBrightness float64 `yaml:"min_brightness" validate:"min=0,max=255"`
	MaxBrightness float64 `yaml:"max_brightness" validate:"min=0,max=255"`
	MinContrast   float64 `yaml:"min_contrast" validate:"min=0,max=128"`
	// MaxYaw, MaxPitch and MaxRoll are the largest turns of the head in degrees,
	// estimated from the landmarks; 0 lets everything pass.
	MaxYaw   float64 `yaml:"max_yaw" validate:"min=0,max=90"`
	MaxPitch float64 `yaml:"max_pitch" validate:"min=0,max=90"`
	MaxRoll  float64 `yaml:"max_roll" validate:"min=0,max=180"`
	// MinUprightMargin is the smallest amount by which the detector's confidence in
	// the face as it is upright exceeds that in the face turned otherwise.
	MinUprightMargin float64 `yaml:"min_upright_margin" validate:"min=0,max=1"`
	// MinProportion and MaxProportion bound how high a face is for its width, 1 for
	// an ordinary one.
	MinProportion float64 `yaml:"min_proportion" validate:"min=0,max=10"`
	MaxProportion float64 `yaml:"max_proportion" validate:"min=0,max=10"`
	// SecondFaceRatio refuses a picture in which another face has at least
	// this part of the largest face's area; 0 accepts any number of faces.
	SecondFaceRatio float64 `yaml:"second_face_ratio" validate:"min=0,max=1"`
}

// Store selects and configures the vector store. The blocks of other drivers
// than the chosen one are not used.
type Store struct {
	Driver   string        `yaml:"driver" validate:"required,oneof=memory pgvector milvus"`
	Memory   MemoryStore   `yaml:"memory"`
	PGVector PGVectorStore `yaml:"pgvector"`
	Milvus   MilvusStore   `yaml:"milvus"`
}

// MemoryStore is the embedded store.
type MemoryStore struct {
	// Path is the SQLite file that makes the store durable; empty keeps
	// everything in RAM only.
	Path string `yaml:"path"`
	// SearchThreads is how many cores the searches of a collection use; 0
	// means one per core.
	SearchThreads int `yaml:"search_threads" validate:"min=0,max=1024"`
	// Encryption is of what the file keeps of faces.
	Encryption Encryption `yaml:"encryption"`
}

// Encryption says with which keys vectors are encrypted at rest, with
// AES-256-GCM; without any they are not. Keys are 32 bytes in base64, separated
// by white space: the first one encrypts, the others are those of earlier times
// and only decrypt.
type Encryption struct {
	// KeyFile is a file with keys. What follows # in a line is a comment.
	KeyFile string `yaml:"key_file"`
	// Key holds the keys themselves; it is for the environment.
	Key Secret `yaml:"key" validate:"excluded_with=KeyFile"`
	// Convert lets a file that was not encrypted be encrypted when it is opened.
	Convert bool `yaml:"convert"`
	// Decrypt has an encrypted file written plain when it is opened; its keys are
	// still needed until that is done.
	Decrypt bool `yaml:"decrypt" validate:"excluded_with=Convert"`
}

// The index kinds of the network stores.
const (
	// IndexExact compares a query with every face: nobody is ever missed.
	IndexExact = "exact"
	// IndexHNSW is an approximate graph index: faster on large galleries, and
	// it misses some faces.
	IndexHNSW = "hnsw"
)

// PGVectorStore is PostgreSQL with the pgvector extension.
type PGVectorStore struct {
	// DSN is a connection URL or key/value string as libpq takes it.
	DSN Secret `yaml:"dsn"`
	// Schema is where imago keeps its tables; it is made if it is missing.
	Schema string `yaml:"schema" validate:"required,max=63,identifier"`
	// MaxConns bounds the connection pool.
	MaxConns int `yaml:"max_conns" validate:"min=1,max=1000"`
	// ConnectTimeout bounds making one connection.
	ConnectTimeout time.Duration `yaml:"connect_timeout" validate:"min=100ms,max=5m"`
	Index          string        `yaml:"index" validate:"oneof=exact hnsw"`
	HNSW           HNSW          `yaml:"hnsw"`
	// HalfVec has the HNSW index hold 16-bit floats: half the memory.
	HalfVec bool `yaml:"halfvec"`
	// Search is where searches are answered: in a copy of all faces in the memory of each
	// imago that is never behind (replica), or by the database.
	Search  string  `yaml:"search" validate:"oneof=replica database"`
	Replica Replica `yaml:"replica"`
}

// Replica is a copy of all faces in memory.
type Replica struct {
	// MaxFaces bounds it: a gallery with more faces is searched in the database.
	MaxFaces int `yaml:"max_faces" validate:"min=1,max=1000000000"`
	// Threads a search may use; 0 means one per core.
	SearchThreads int `yaml:"search_threads" validate:"min=0,max=1024"`
}

// The places where searches are answered.
const (
	SearchReplica  = "replica"
	SearchDatabase = "database"
)

// HNSW are the parameters of the graph index (Malkov and Yashunin, 2018).
type HNSW struct {
	M              int `yaml:"m" validate:"min=2,max=100"`                // links per node
	EfConstruction int `yaml:"ef_construction" validate:"min=4,max=1000"` // candidates while building
	EfSearch       int `yaml:"ef_search" validate:"min=1,max=1000"`       // candidates while searching
}

// MilvusStore is a Milvus server or cluster.
type MilvusStore struct {
	// Address is host:port of the gRPC service.
	Address  string `yaml:"address"`
	Database string `yaml:"database" validate:"max=255"`
	// Collection is the name of the Milvus collection that holds all faces.
	Collection string `yaml:"collection" validate:"required,max=255,identifier"`
	Username   string `yaml:"username"`
	Password   Secret `yaml:"password"`
	// Token is an API key that replaces user name and password.
	Token Secret `yaml:"token"`
	TLS   bool   `yaml:"tls"`
	// CAFile is the certificate authority of the server; empty means the
	// system's.
	CAFile         string        `yaml:"ca_file"`
	ConnectTimeout time.Duration `yaml:"connect_timeout" validate:"min=100ms,max=5m"`
	Index          string        `yaml:"index" validate:"oneof=exact hnsw"`
	HNSW           HNSW          `yaml:"hnsw"`
}

// Audit is the log of who did what with the gallery.
type Audit struct {
	// Path is the file that lines are appended to, - for standard output; empty
	// keeps no audit log. The file is opened anew on SIGHUP.
	Path string `yaml:"path"`
	// Sync has each line on disk before the answer leaves. It is without effect
	// on standard output.
	Sync bool `yaml:"sync"`
	// Required refuses what cannot be written down: a change is announced by a
	// line before it is made, and nothing is told about users before its line is
	// written; where a line cannot be written the answer is 503.
	Required bool `yaml:"required"`
	// Matches has the users that a search found in its line, not only their
	// number.
	Matches bool `yaml:"matches"`
}

// Console is the page for people.
type Console struct {
	// Enabled serves it at /console. Whoever opens it needs a key to do
	// anything with it.
	Enabled bool `yaml:"enabled"`
}

// Log is the structured log on standard error.
type Log struct {
	Level  string `yaml:"level" validate:"oneof=debug info warn error"`
	Format string `yaml:"format" validate:"oneof=json text"`
}

// Default returns the settings that hold where nothing else is said.
func Default() Config {
	return Config{
		Server: Server{
			Listen: "127.0.0.1:8080", SocketMode: "0660",
			TLS: TLS{MinVersion: "1.2", ClientAuth: ClientAuthNone}, TrustedProxies: []string{},
			Timeouts: Timeouts{
				Header: 5 * time.Second, Body: 30 * time.Second, Request: 30 * time.Second,
				Idle: 2 * time.Minute, Shutdown: 20 * time.Second,
			},
			Limits: Limits{ImageBytes: 5 << 20, Megapixels: 64, DecodeMiB: 512, BodyMiB: 256, UploadRate: 8192, InFlight: 256, Connections: 1024},
		},
		Token:       Token{MaxAge: 5 * time.Minute, ClockSkew: 30 * time.Second, ReplayCache: 262144},
		Inventory:   Inventory{SamePerson: 10, Screen: []string{}},
		Collections: []Collection{{Name: "blacklist", Shared: true, Screen: []string{}}, {Name: "whitelist", Screen: []string{}}},
		Expiry:      Expiry{EraseWithin: 15 * time.Minute},
		Models:      Models{Dir: "models", Detector: "opencv-yunet", Embedder: "opencv-sface"},
		Inference: Inference{
			Threads: 1, Queue: 128, DetectSizes: []int{320, 640}, Refine: true, MinScore: 0.6,
		},
		Search: Search{Threshold: 80, Limit: 10, MaxFalseMatch: 0.5},
		Quality: Quality{
			Enabled: true, MinFaceWidth: 40, MinScore: 0.8, MinSharpness: 0.27,
			MinBrightness: 13, MaxBrightness: 230, MinContrast: 6,
			MaxYaw: 45, MaxPitch: 40, MaxRoll: 60, MinUprightMargin: 0.02,
			MinProportion: 0.8, MaxProportion: 1.2, SecondFaceRatio: 0.5,
		},
		Store: Store{Driver: "memory", Memory: MemoryStore{Path: "data/imago.db"},
			PGVector: PGVectorStore{
				Schema: "imago", MaxConns: 16, ConnectTimeout: 5 * time.Second,
				Index: IndexExact, HNSW: HNSW{M: 16, EfConstruction: 128, EfSearch: 200}, HalfVec: true,
				Search: SearchReplica, Replica: Replica{MaxFaces: 2_000_000},
			},
			Milvus: MilvusStore{
				Collection: "imago_faces", ConnectTimeout: 10 * time.Second,
				Index: IndexExact, HNSW: HNSW{M: 16, EfConstruction: 128, EfSearch: 200},
			},
		},
		Audit:   Audit{Matches: true},
		Console: Console{Enabled: true},
		Log:     Log{Level: "info", Format: "json"},
	}
}
