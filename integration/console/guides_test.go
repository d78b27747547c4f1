package console

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"

	"sitegate/emulator"
	"sitegate/integration"
)

// guidesEnv is the folder of the pictures that the guides show; none: they are not made.
const guidesEnv = "SITEGATE_TEST_GUIDES"

// pictureBytes is how large a picture of a guide may be.
const pictureBytes = 100 << 10

// wordsOfPictures has what the pages said when the pictures were made: menu, headings, columns
// and fields.
var wordsOfPictures = filepath.Join("testdata", "pictures.txt")

// The pictures of the guides are of a site with some people at work. They are made by make
// pictures; otherwise the pages still have to say what they said then.
func TestPicturesOfTheGuides(t *testing.T) {
	folder := os.Getenv(guidesEnv)
	needs(t, "chromium")
	s := integration.NewSiteWithoutLinks(t, 3, 60)
	leader := s.Leader(t)
	for i, u := range s.Cloud.Users()[:12] { // who has no license is refused
		_, _ = s.Client(t, u.ID, fmt.Sprintf("WS-%d", 101+i), leader).Start(t.Context(), emulator.ProductCapped)
	}
	if _, err := s.Client(t, emulator.UserA, "LAPTOP-7", leader).Start(t.Context(), emulator.ProductCapped); err == nil {
		t.Fatal("another machine was let in")
	}
	base := openDoor(t, s.Nodes[leader]) + "/console/"
	p := newChromium(t, "").page(t)
	p.sized(1280, "light")
	var words strings.Builder
	for _, x := range []struct {
		name, path, shows string
		height            float64
	}{{"now", "", "WS-101", 760}, {"refusals", "refusals", "LAPTOP-7", 700}, {"licenses", "licenses", "never used", 760}, {"cluster", "cluster", "node1", 760}} {
		p.went(base + x.path)
		integration.Eventually(t, time.Minute, x.name+" has what it is to show", func() error { // refusals are told by the second
			var text string
			if err := p.eval(`document.body.innerText`, &text); err != nil || !bytes.Contains([]byte(text), []byte(x.shows)) {
				return fmt.Errorf("it lacks %q, %w", x.shows, err)
			}
			return nil
		})
		var said []string
		p.run(`[...document.querySelectorAll("nav a, h1, main h2, main thead th, main label, main button")].filter(e => e.checkVisibility()).map(e => e.innerText.trim())`, &said)
		fmt.Fprintf(&words, "%s: %s\n", x.name, strings.Join(said, " | "))
		if folder == "" {
			continue
		}
		shot := tell(p, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{Clip: &cdppage.Viewport{Width: 1280, Height: x.height, Scale: 1}})
		small, err := fewColours(shot.Data)
		if err != nil {
			t.Fatal(err)
		}
		if len(small) > pictureBytes {
			t.Errorf("the picture of %s has %d bytes", x.name, len(small))
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, x.name+".png"), small, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if folder != "" {
		if err := os.WriteFile(wordsOfPictures, []byte(words.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	then, err := os.ReadFile(wordsOfPictures)
	if err != nil {
		t.Fatal(err)
	}
	if now := words.String(); now != string(then) {
		t.Errorf("the pictures of the guides show another console than this one: make pictures, and look at them. They have\n%sand the pages\n%s", then, now)
	}
}

// fewColours is a picture in the 256 colours that it has most of, which for a page are nearly
// all: a quarter of the bytes.
func fewColours(picture []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	at := from.Bounds()
	count := map[color.RGBA]int{}
	colourOf := func(x, y int) color.RGBA { return color.RGBAModel.Convert(from.At(x, y)).(color.RGBA) }
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			count[colourOf(x, y)]++
		}
	}
	all := make([]color.RGBA, 0, len(count))
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		if n := count[b] - count[a]; n != 0 {
			return n
		}
		return slices.Compare([]byte{a.R, a.G, a.B}, []byte{b.R, b.G, b.B})
	})
	var palette color.Palette
	for _, c := range all[:min(len(all), 256)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range all {
		nearest[c] = uint8(palette.Index(c))
	}
	to := image.NewPaletted(at, palette)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			to.SetColorIndex(x, y, nearest[colourOf(x, y)])
		}
	}
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, to)
	return b.Bytes(), err
}

// A picture of few colours is the same picture.
func TestFewColoursAreEnough(t *testing.T) {
	from := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for y := range 20 {
		for x := range 40 {
			from.SetRGBA(x, y, color.RGBA{uint8(x % 16 * 16), uint8(y % 16 * 16), 0, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, from); err != nil {
		t.Fatal(err)
	}
	small, err := fewColours(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	to, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	for y := range 20 {
		for x := range 40 {
			if got := color.RGBAModel.Convert(to.At(x, y)); got != from.At(x, y) {
				t.Fatalf("at %d,%d it is %v, was %v", x, y, got, from.At(x, y))
			}
		}
	}
}
