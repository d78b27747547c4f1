package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sitegate/api"
)

// structs are all structs of the contract; a test sees to it that none is left
// out.
func structs() map[string]reflect.Type {
	types := map[string]reflect.Type{"CheckoutList": reflect.TypeFor[api.List[api.Checkout]](),
		"BlockList": reflect.TypeFor[api.List[api.Block]](), "ReminderList": reflect.TypeFor[api.List[api.Reminder]](), "PeakList": reflect.TypeFor[api.List[api.Peak]](),
		"MirrorRecordList": reflect.TypeFor[api.List[api.MirrorRecord]](), "MalformedList": reflect.TypeFor[api.List[api.MalformedRecord]](),
		"RefusedUsageList": reflect.TypeFor[api.List[api.RefusedUsage]](), "ProductUseList": reflect.TypeFor[api.List[api.ProductUse]](), "LearnedUseList": reflect.TypeFor[api.List[api.LearnedUse]](), "MemberList": reflect.TypeFor[api.List[api.ClusterMember]](),
		"NodeSettingList": reflect.TypeFor[api.List[api.NodeSetting]](), "TrendList": reflect.TypeFor[api.List[api.TrendMark]](), "APITokenList": reflect.TypeFor[api.List[api.APIToken]](), "TrustList": reflect.TypeFor[api.List[api.TrustedIssuer]](), "LocalAccountList": reflect.TypeFor[api.List[api.LocalAccount]]()}
	for _, v := range []any{api.Machine{}, api.StartRequest{}, api.Session{}, api.Token{}, api.Ending{}, api.MachineRequest{}, api.Lease{},
		api.CheckoutRequest{}, api.Checkout{}, api.WaitRequest{}, api.Wait{}, api.Me{}, api.MyLicense{}, api.MyProduct{}, api.Warning{}, api.Administrator{}, api.LinkState{},
		api.Frame{}, api.Hello{}, api.Retry{}, api.Auth{}, api.Authed{}, api.Reconnect{}, api.SiteNotices{}, api.Poll{}, api.Maintenance{}, api.MaintenanceRequest{}, api.Bypass{}, api.TrendMark{}, api.MadeBackup{}, api.Reloaded{}, api.KeyRequest{}, api.MachineKey{}, api.ForgetKeyRequest{}, api.Notice{}, api.Beat{}, api.Leases{}, api.BeatResult{}, api.Ready{}, api.Problem{}, api.Status{},
		api.ClusterStatus{}, api.Replacement{}, api.RekeyRequest{}, api.Member{}, api.MirrorStatus{}, api.MalformedRecord{}, api.MirrorRecord{}, api.ImportRequest{}, api.PortalRequest{}, api.PortalFile{}, api.PortalReport{}, api.PortalCount{}, api.PortalChange{}, api.PortalFault{}, api.HeldMirror{}, api.TrustedIssuer{}, api.HeldKeys{}, api.AcceptKeysRequest{}, api.AcceptedTime{}, api.Peak{}, api.MirrorSizes{}, api.Counts{}, api.UsageStatus{}, api.AutonomyStatus{}, api.ReleaseRequest{},
		api.MoveRequest{}, api.License{}, api.MachineBlockRequest{}, api.Block{}, api.Removal{}, api.RemovalLicense{}, api.Reminder{}, api.ReminderCounts{},
		api.CloudOffers{}, api.Offer{}, api.RefusedUsage{}, api.ResendRequest{}, api.UsageAudit{}, api.UsageWay{}, api.UsageFinding{},
		api.RestoredStatus{}, api.BackupStatus{}, api.DiskStatus{}, api.EgressStatus{}, api.CertificateStatus{}, api.Lockout{},
		api.CheckoutForRequest{}, api.WriteOff{}, api.BulkCheckoutRequest{}, api.CheckoutImportRequest{}, api.BulkProduct{}, api.BulkReport{}, api.BulkRow{},
		api.ClusterMember{}, api.TokenRequest{}, api.JoinToken{}, api.RemoveRequest{}, api.SteppedDown{}, api.DrainRequest{}, api.StepDownRequest{}, api.LeaveRequest{},
		api.Open{}, api.OpenList{}, api.ProductUse{}, api.LearnedUse{}, api.SiteRefusal{}, api.SiteRefusalList{}, api.HistoryItem{}, api.HistoryList{}, api.SiteUser{}, api.SiteUserList{}, api.SiteLicense{}, api.RequestToVendor{}, api.SiteLicenseList{}, api.SiteSettings{}, api.SiteSetting{}, api.SiteMode{}, api.ObservedCounts{}, api.ObservedCount{},
		api.APITokenRequest{}, api.NewAPIToken{}, api.APIToken{}, api.LocalAccountRequest{}, api.LocalAccount{},
		api.AuditRecord{}, api.AuditPage{}, api.AuditTrail{}, api.AuditVerified{}, api.AuditExport{}, api.AuditErase{}, api.AuditStatus{},
		api.Report{}, api.ReportProduct{}, api.ReportRefusal{}, api.ReportEnd{}, api.ReportLink{}, api.ReportAlert{}, api.ReportPerson{},
		api.PersonRequest{}, api.PersonalData{}, api.PersonalRecord{}, api.PersonalUsage{}, api.Erased{}, api.Stay{},
		api.SiteAuditList{}, api.NodeSetting{}, api.DoctorReport{}, api.DoctorCheck{}, api.FirewallOpening{}} {
		types[reflect.TypeOf(v).Name()] = reflect.TypeOf(v)
	}
	return types
}

type schema struct {
	Ref        string            `yaml:"$ref"`
	Type       string            `yaml:"type"`
	Format     string            `yaml:"format"`
	Required   []string          `yaml:"required"`
	Properties map[string]schema `yaml:"properties"`
	Items      *schema           `yaml:"items"`
	Enum       []string          `yaml:"enum"`
	Closed     *bool             `yaml:"additionalProperties"`
}

func document(t *testing.T) (doc struct {
	OpenAPI    string `yaml:"openapi"`
	Components struct {
		Schemas map[string]schema `yaml:"schemas"`
	} `yaml:"components"`
}) {
	t.Helper()
	if err := yaml.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Components.Schemas) == 0 {
		t.Fatalf("an OpenAPI %q document with %d schemas; want 3.1.0", doc.OpenAPI, len(doc.Components.Schemas))
	}
	return doc
}

// Each struct's JSON is its schema: the fields, what may be left out, the types.
func TestTheSchemasAreTheStructs(t *testing.T) {
	schemas := document(t).Components.Schemas
	types := structs()
	for name := range schemas {
		if types[name] == nil && name != "ID" {
			t.Errorf("the schema %s is no struct", name)
		}
	}
	for name, typ := range types {
		s, ok := schemas[name]
		if !ok {
			t.Errorf("the struct %s has no schema", name)
			continue
		}
		var fields, required []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			field, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, field)
			if !strings.Contains(opts, "omit") {
				required = append(required, field)
			}
			if want, got := describe(f.Type), describeSchema(s.Properties[field]); got != want {
				t.Errorf("%s.%s is %s in the document; want %s", name, field, got, want)
			}
		}
		var properties []string
		for p := range s.Properties {
			properties = append(properties, p)
		}
		for _, l := range [][]string{fields, required, properties, s.Required} {
			slices.Sort(l)
		}
		if !slices.Equal(fields, properties) {
			t.Errorf("%s has the properties %q; want %q", name, properties, fields)
		}
		if !slices.Equal(required, s.Required) {
			t.Errorf("%s requires %q; want %q", name, s.Required, required)
		}
		if strings.HasSuffix(name, "Request") && (s.Closed == nil || *s.Closed) {
			t.Errorf("%s allows unknown fields, which the server refuses", name)
		}
	}
}

func describe(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "string date-time"
	case t.Kind() == reflect.Pointer:
		return describe(t.Elem())
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t == reflect.TypeFor[json.RawMessage]():
		return "object"
	case t == reflect.TypeFor[[]byte]():
		return "string byte"
	case t.Kind() == reflect.Slice:
		return "array of " + describe(t.Elem())
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Uint64:
		return "integer"
	}
	return "unknown kind " + t.String()
}

func describeSchema(s schema) string {
	switch {
	case s.Ref == "#/components/schemas/ID":
		return "string"
	case s.Ref != "":
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	case s.Type == "array" && s.Items != nil:
		return "array of " + describeSchema(*s.Items)
	case s.Format != "":
		return s.Type + " " + s.Format
	}
	return s.Type
}

// What the source has, the test knows.
func TestNoStructIsLeftOut(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := structs()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok || ts.TypeParams != nil {
					continue
				}
				if _, isStruct := ts.Type.(*ast.StructType); isStruct && known[ts.Name.Name] == nil {
					t.Errorf("%s: the struct %s is not checked against the document", file, ts.Name.Name)
				}
			}
		}
	}
}

func TestTheKindsAreListed(t *testing.T) {
	schemas := document(t).Components.Schemas
	for what, want := range map[string][]string{
		"Frame.type": {api.FrameHello, api.FrameState, api.FrameNotice, api.FrameSite, api.FrameBeat, api.FrameLease, api.FrameAuth, api.FrameAuthed, api.FrameNodes, api.FrameReconnect},
		"Notice.kind": {api.KindGranted, api.KindStopped, api.KindAttempted, api.KindFree, api.KindYours, api.KindNotTaken, api.KindWaitEnded,
			api.KindReleased, api.KindEnding, api.KindConfirmed, api.KindCheckedOut, api.KindReturned, api.KindEndsSoon, api.KindExtended, api.KindAssigned, api.KindUnassigned,
			api.KindBlocked, api.KindUnblocked, api.KindRequested, api.KindDeclined, api.KindLinkUp, api.KindLinkDown, api.KindPolicy, api.KindMaintenance, api.KindCheckoutFlagged, api.KindUserNotFound,
			api.KindLicenseChanged, api.KindSiteEnds, api.KindReminders, api.KindMirrorHeld, api.KindMirrorResumed, api.KindQuarantined, api.KindLinkSlow, api.KindLinkStale, api.KindLevelRaised, api.KindUsageRefused, api.KindUsageBacklog, api.KindMachineClone, api.KindMachineRekeyed, api.KindSecretStopped, api.KindSecretResumed, api.KindKeysHeld, api.KindKeysResumed, api.KindBypass, api.KindOutEnding, api.KindWrittenOff},
	} {
		name, field, _ := strings.Cut(what, ".")
		if got := schemas[name].Properties[field].Enum; !slices.Equal(got, want) {
			t.Errorf("%s lists\n %q; want\n %q", what, got, want)
		}
	}
}

// Every reference leads somewhere.
func TestReferencesLeadSomewhere(t *testing.T) {
	var doc any
	if err := yaml.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				ref, ok := inner.(string)
				if k != "$ref" || !ok {
					walk(inner)
					continue
				}
				found++
				at := doc
				for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					m, _ := at.(map[string]any)
					at = m[step]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(doc)
	if found < 50 {
		t.Errorf("only %d references were found", found)
	}
}
