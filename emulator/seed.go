package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// Products of Seed that tests and demonstrations name.
const (
	ProductCapped   = "3101" // capped; UserA and UserB have a license of it
	ProductCapped2  = "3102" // capped; UserA has a license of it, too
	ProductUncapped = "3201" // not capped; UserA and UserB have a license of it
	ProductUnknown  = "3301" // the cloud does not say
	ProductV8i      = "2101" // of the generation that cannot use Virtuoso licenses (R17)
)

// Users of Seed that are always there, in good standing.
const (
	UserA     = "u-00001"
	UserB     = "u-00002"
	UserAdmin = "u-00003" // an administrator of the account
)

var seedProducts = []cloudapi.Product{
	{ID: ProductCapped, Name: "Gable Structural", Capped: cloudapi.CappedYes},
	{ID: ProductCapped2, Name: "Culvert Hydraulics", Capped: cloudapi.CappedYes},
	{ID: "3103", Name: "Talus Slope Stability", Capped: cloudapi.CappedYes},
	{ID: "3104", Name: "Girder Bridge Design", Capped: cloudapi.CappedYes},
	{ID: ProductUncapped, Name: "Plinth Drafting", Capped: cloudapi.CappedNo},
	{ID: "3202", Name: "Lintel Detailing", Capped: cloudapi.CappedNo},
	{ID: "3203", Name: "Isoline Survey", Capped: cloudapi.CappedNo},
	{ID: ProductUnknown, Name: "Trestle Rail Layout", Capped: cloudapi.CappedUnknown},
	{ID: "3302", Name: "Weir Water Networks", Capped: cloudapi.CappedUnknown},
	{ID: ProductV8i, Name: "Plinth Drafting V8i", Capped: cloudapi.CappedNo, V8i: true},
}

var (
	givenNames  = strings.Fields("Ana Bram Chidi Dalia Edda Farid Greta Hugo Ines Jonas Kaya Levi Mira Nils Oona Pavel Quirin Rosa Stellan Tomas Uma Vera Wim Xenia Yusuf Zora")
	familyNames = strings.Fields("Abelsen Brandvold Castellan Dufresne Eberhart Fontaine Grunwald Halloran Ivarsson Jankovic Kestrel Lindgard Moravec Nordahl Okafor Pellegrin Quist Rahmani Sorensby Tamura Ulfsson Varga Westerby Yilmaz Zielke")
	countries   = strings.Fields("AT FR NL SE NO PL ES IT GB US CA AU")
)

// Seed fills the cloud with an account, products, n users (at least three) and their licenses: made up, and for the same n always the same but for
// the dates, which count from today. Most users have one to three licenses; a few are blocked, have no entitlement country, or have a license that
// has ended; some licenses are assigned to nobody. The account lets a site decide alone for 72 h on capped products and for 7 days
// on others, and check out for up to 30 days.
func (e *Emulator) Seed(n int) {
	e.SetAccount(cloudapi.Account{
		ID: "a-7001", Name: "Harbour Works Engineering",
		Autonomy:      cloudapi.Autonomy{CappedMS: cloudapi.MillisOf(72 * time.Hour), UncappedMS: cloudapi.MillisOf(7 * 24 * time.Hour)},
		CheckoutMaxMS: cloudapi.MillisOf(30 * 24 * time.Hour),
		Admins:        []cloudapi.Admin{{Name: "Site Licensing", Email: "licensing@harbour-works.example"}},

		FulfillmentContact: &cloudapi.Admin{Name: "Purchasing", Email: "purchasing@harbour-works.example"},
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range seedProducts {
		e.putProduct(p)
	}
	today := e.now().Truncate(24 * time.Hour)
	dice := rand.New(rand.NewPCG(7001, uint64(n)))
	for i := 1; i <= max(n, 3); i++ {
		u := cloudapi.User{ID: fmt.Sprintf("u-%05d", i), Country: countries[dice.IntN(len(countries))]}
		given, family := givenNames[dice.IntN(len(givenNames))], familyNames[dice.IntN(len(familyNames))]
		u.Name = given + " " + family
		u.Email = fmt.Sprintf("%s.%s.%d@harbour-works.example", strings.ToLower(given), strings.ToLower(family), i)
		products := dice.Perm(len(seedProducts))[:1+dice.IntN(3)]
		ended := 0 // the license in the user's list that has ended; none for zero
		switch {
		case u.ID == UserA:
			products = []int{0, 1, 4}
		case u.ID == UserB:
			products = []int{0, 4}
		case u.ID == UserAdmin:
			u.Roles = []string{cloudapi.RoleAdministrator, cloudapi.RoleVirtuosoAdministrator}
		case i%97 == 0:
			u.Blocked = true
		case i%89 == 0:
			u.Country, products = "", nil
		case i%61 == 0:
			ended = 1
		}
		e.putUser(u)
		for j, p := range products {
			e.seedLicense(fmt.Sprintf("l-%05d-%d", i, j+1), p, u.ID, today, j+1 == ended, dice)
		}
		if i%20 == 0 {
			e.seedLicense(fmt.Sprintf("l-%05d-9", i), dice.IntN(len(seedProducts)), "", today, false, dice)
		}
	}
}

// seedLicense adds one license of a year for a user, or for nobody. The caller holds the lock.
func (e *Emulator) seedLicense(id string, product int, user string, today time.Time, ended bool, dice *rand.Rand) {
	start := today.AddDate(0, 0, -1-dice.IntN(200))
	if ended {
		start = today.AddDate(0, 0, -380)
	}
	l := cloudapi.License{
		ID: id, ProductID: seedProducts[product].ID, Kind: cloudapi.LicenseVirtuoso,
		StartsAt: start, EndsAt: start.AddDate(0, 0, 365), AssignedTo: user,
	}
	if seedProducts[product].V8i {
		l.Kind = cloudapi.LicenseCommercial
	}
	if user != "" {
		at := start.Add(9 * time.Hour)
		l.AssignedAt = &at
	}
	e.putLicense(l)
}

// Password is what a user of Seed, or one that was never given another, signs in with.
func Password(userID string) string {
	sum := sha256.Sum256([]byte("emulated sign-in of " + userID))
	return "pw-" + hex.EncodeToString(sum[:5])
}
