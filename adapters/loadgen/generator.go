package loadgen

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"imago/core/naming"
	"imago/ports"
)

// portrait is a drawn face.
//
//go:embed portrait.jpg
var portrait []byte

// Portrait returns the drawn face that is sent where there are no pictures.
func Portrait() []byte { return slices.Clone(portrait) }

// Prefix begins the ID of every user that a Generator makes; six random
// characters and a hyphen follow.
const Prefix = "imago-bench-"

// MaxUsers is how many users a Generator may have enrolled at a time.
const MaxUsers = 1_000_000

// Options says what a Generator sends.
type Options struct {
	Target   Target
	Key      string
	Pictures [][]byte // JPEG or PNG files; empty for the drawn portrait
	// Collection is "" or naming.Inventory for the inventory.
	Collection string
	// Threshold of the searches in percent; nil for the server's.
	Threshold *float64
	// Users is how many users there are at most; an enrolment beyond it unenrols
	// somebody instead, and an unenrolment of nobody enrols.
	Users int
	// Timeout bounds each request.
	Timeout time.Duration
}

// Generator sends load to one server. Runs must not overlap.
type Generator struct {
	options  Options
	path     string // of the collection
	prefix   string
	enrols   [][]byte // bodies, by picture
	searches [][]byte
	users    userPool
}

// New returns a Generator. It sends nothing yet.
func New(o Options) (*Generator, error) {
	switch {
	case o.Threshold != nil && !(*o.Threshold >= 0 && *o.Threshold <= 100):
		return nil, errors.New("the threshold must be 0 to 100")
	case o.Users < 1 || o.Users > MaxUsers:
		return nil, fmt.Errorf("the number of users must be 1 to %d", MaxUsers)
	case o.Timeout <= 0:
		return nil, errors.New("the timeout must be positive")
	}
	if len(o.Pictures) == 0 {
		o.Pictures = [][]byte{portrait}
	}
	g := &Generator{options: o, path: "/users/", prefix: Prefix + strings.ToLower(rand.Text()[:6]) + "-"}
	g.users.limit = o.Users
	if o.Collection != "" && o.Collection != naming.Inventory {
		g.path += url.PathEscape(o.Collection) + "/"
	}
	for _, p := range o.Pictures {
		face := `{"face":"` + base64.StdEncoding.EncodeToString(p) + `"`
		g.enrols = append(g.enrols, []byte(face+"}"))
		if o.Threshold != nil {
			face += `,"threshold":` + strconv.FormatFloat(*o.Threshold, 'f', -1, 64)
		}
		g.searches = append(g.searches, []byte(face+"}"))
	}
	return g, nil
}

// Prefix returns what the ID of every user of this Generator begins with.
func (g *Generator) Prefix() string { return g.prefix }

// User is somebody who is enrolled, with the index of the picture.
type User struct {
	ID      string
	Picture int
}

// Users returns who is enrolled as the server has acknowledged it, ordered by ID,
// and how many further users may be, because the outcome of a request is unknown. It is exact between runs.
func (g *Generator) Users() (all []User, uncertain int) {
	numbers, uncertain := g.users.known()
	for _, n := range numbers {
		all = append(all, User{name(g.prefix, n), g.picture(n)})
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.ID, b.ID) })
	return all, uncertain
}

// picture returns the index of the picture that a user is enrolled with.
func (g *Generator) picture(n uint64) int { return int(n % uint64(len(g.enrols))) }

// Probe makes one search, so that a wrong address or key is reported before a run of a
// mix.
func (g *Generator) Probe(ctx context.Context, mix Mix) error {
	client := g.options.Target.client(g.options.Timeout)
	defer client.CloseIdleConnections()
	o := g.send(ctx, client, search, 0)
	switch {
	case o.status == 0:
		return fmt.Errorf("no answer at %s: %w: %s", g.options.Target, ports.ErrUnavailable, o.example)
	case o.status == http.StatusUnauthorized:
		return errors.New("the server does not accept the key")
	case o.status == http.StatusForbidden && mix[search] > 0:
		return errors.New("the key does not permit searching this collection")
	}
	return nil
}

// removers is how many connections remove users.
const removers = 4

// Remove unenrols every user of this Generator that may be there. It goes on until
// all are gone or the context ends, and returns how many are left.
func (g *Generator) Remove(ctx context.Context) (left int) {
	var all sync.WaitGroup
	for range removers {
		all.Go(func() {
			client := g.options.Target.client(g.options.Timeout)
			defer client.CloseIdleConnections()
			for ctx.Err() == nil && g.removeOne(ctx, client) {
			}
		})
	}
	all.Wait()
	enrolled, uncertain := g.users.known()
	return len(enrolled) + uncertain
}

// removePause is the wait before another try where the server did not unenrol.
const removePause = 100 * time.Millisecond

// removeOne unenrols somebody; it is false when there is nobody left.
func (g *Generator) removeOne(ctx context.Context, client *http.Client) bool {
	n, ok := g.users.takeForRemoval()
	if !ok {
		return false
	}
	f := g.send(ctx, client, unenrol, n).userState(unenrol)
	g.users.finish(n, f)
	if f != gone {
		sleep(ctx, removePause)
	}
	return true
}

// sleep waits. It is false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
