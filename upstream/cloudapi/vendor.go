package cloudapi

// The vendor's own usage wire, for a cloud that offers no site API for usage: one JSON object after the other, posted as it happens
// (real-time), or CSV files put to a place that the location service names. Neither has an idempotency key: what is sent again after a lost
// answer may count twice there. CorrelationID and times are the same each time.
const (
	// PathPosting takes a Posting by POST: VendorAnswer.
	PathPosting = "/Bentley.ULAS.PostingService/PostingSvcWebApi"
	// PathLocation has below it, by GET ?ultId=&prdId=&lng=, where to put a file: Location.
	PathLocation      = "/Bentley.ULAS.LocationService/LocationSvcWebApi"
	LocationUsageLog  = "/usageLog"
	BlobTypeHeader    = "x-ms-blob-type" // of the PUT of a file
	BlobType          = "BlockBlob"
	VendorSuccess     = "success"
	MaxCSVRows        = 75_000 // in one file
	PostingLogVersion = 1
)

// The sources of a posting, in lSrc.
const (
	SourceRealtime = "RealTime"
	SourceOffline  = "Offline"
	SourceCheckout = "Checkout"
)

// The types of use, in uType.
const (
	UseProduction   = "Production"
	UseTrial        = "Trial"
	UsePractitioner = "Practitioner"
)

// Posting is one piece of use at one moment.
type Posting struct {
	UltimateID    string `json:"ultID"`
	PrincipalID   string `json:"pid"`
	IMSID         string `json:"imsID"`
	Host          string `json:"hID"` // without its domain
	UserID        string `json:"uID"`
	PolicyID      string `json:"polID"`
	SecurableID   string `json:"secID"`
	ProductID     string `json:"prdid"`
	Feature       string `json:"fstr"`
	Version       int64  `json:"ver"`
	ProjectID     string `json:"projID"`
	CorrelationID string `json:"corID"` // of the session
	At            string `json:"evTimeZ"`
	LogVersion    int    `json:"lVer"`
	Source        string `json:"lSrc"`
	Country       string `json:"country"`
	UsageType     string `json:"uType"`
}

// VendorAnswer is the answer to a posting. Only Status "success", in any case, acknowledges it, whatever the HTTP status.
type VendorAnswer struct {
	Status    string `json:"status"`
	Message   string `json:"msg"`
	Time      string `json:"time"`
	RequestID string `json:"reqID"`
}

// Location says where to put a file: a URL, and a signature that goes behind it and is a secret.
type Location struct {
	Status   string       `json:"status"`
	Endpoint string       `json:"epUri"`
	Info     LocationInfo `json:"epInfo"`
	ID       string       `json:"reqID"`
}

// LocationInfo is what goes with a Location.
type LocationInfo struct {
	Signature string `json:"SharedAccessSignature"`
}

// CSVColumns are the columns of a file, in their order.
func CSVColumns() []string {
	return []string{"UltimateId", "PrincipalId", "ProductId", "UsageCountryISO", "FeatureString", "IMSId", "MachineName", "ComputerSID", "Username", "UserSID",
		"PolicyId", "ProductVersion", "ProjectId", "CorrelationId", "LogVersion", "LogPostingSource", "UsageType", "StartTimeUTC", "EndTimeUTC", "EntryDate", "PartitionId"}
}
