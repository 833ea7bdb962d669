#!/bin/sh
# Each way to sign in to GCP, as Google's libraries find credentials; -v says which one was taken. Quota project, endpoint.
. tests/e2e/lib
command -v python3 >/dev/null || { echo "needs python3, for a subject token's URL"; exit 77; }

AUDIENCE=//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ops/providers/oidc
MENDER=mender@p1.iam.gserviceaccount.com
cloud_scenario gcp "$(jq -cn --arg a $AUDIENCE --arg m $MENDER '{federation:{audience:$a, subject_token:"sub.jec.t"}, impersonate:[$m],
	user:{client_id:"764086051850.apps.googleusercontent.com", client_secret:"user~secret-that-must-never-show", refresh_token:"1//refresh"}}')" \
	'[]' "$(gcp_win g-1 '')" "$(gcp_rescue rescue-g)"
sim_start "$T/scenario.json" "$T/cloud" --imds 127.0.0.1:0
key=$GOOGLE_APPLICATION_CREDENTIALS metadata=$GCE_METADATA_HOST
unset GOOGLE_APPLICATION_CREDENTIALS GCE_METADATA_HOST
export CLOUDSDK_CONFIG="$T/gcloud" GCE_METADATA_IP=127.0.0.1:9
list="list --provider gcp --project p1 -v"
mkdir -p "$T/gcloud"
impersonation=$SIM_URL/v1/projects/-/serviceAccounts/$MENDER:generateAccessToken

# credentials FILE JQ-FILTER: a credential file
credentials() {
	jq -n --arg url "$SIM_URL" --arg a $AUDIENCE --arg t "$T" --arg m "$impersonation" --slurpfile key "$key" "$2" >"$T/$1"
}
user='{type:"authorized_user", client_id:"764086051850.apps.googleusercontent.com", client_secret:"user~secret-that-must-never-show",
	refresh_token:"1//refresh", token_uri:($url + "/token")}'
external='{type:"external_account", audience:$a, subject_token_type:"urn:ietf:params:oauth:token-type:jwt", token_url:($url + "/v1/token")}'
credentials user.json "$user"
credentials revoked.json "$user + {refresh_token:\"1//old\"}"
credentials file.json "$external + {credential_source:{file:(\$t + \"/subject\")}}"
credentials json-file.json "$external + {credential_source:{file:(\$t + \"/subject.json\"), format:{type:\"json\", subject_token_field_name:\"t\"}}}"
credentials wrong-file.json "$external + {credential_source:{file:(\$t + \"/wrong\")}}"
credentials run.json "$external + {credential_source:{executable:{command:(\$t + \"/give-token --for ops\"), timeout_millis:5000}}}"
credentials mender.json "{type:\"impersonated_service_account\", source_credentials:($user), service_account_impersonation_url:\$m}"
credentials stranger.json "{type:\"impersonated_service_account\", source_credentials:($user), service_account_impersonation_url:(\$m | sub(\"mender\"; \"boss\"))}"
credentials mended.json "$external + {credential_source:{file:(\$t + \"/subject\")}, service_account_impersonation_url:\$m}"
credentials other-key.json "\$key[0] + {client_email:\"stranger@p1.iam.gserviceaccount.com\"}"
credentials elsewhere.json "\$key[0] + {token_uri:\"https://token.example.com/token\"}"
credentials quota.json "\$key[0] + {quota_project_id:\"billed-1\"}"
printf sub.jec.t >"$T/subject"
echo '{"t":"sub.jec.t"}' >"$T/subject.json"
printf wrong >"$T/wrong"
cat >"$T/give-token" <<'END'
#!/bin/sh
[ "$*" = "--for ops" ] && [ -n "$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" ] || exit 1
echo '{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"sub.jec.t","expiration_time":4102444800}'
END
chmod +x "$T/give-token"

# with NAME TEXT [STATUS]: GOOGLE_APPLICATION_CREDENTIALS names that file; what is said then
with() {
	expect "${3:-0}" env GOOGLE_APPLICATION_CREDENTIALS="$T/$1" "$FIXFLEET" $list
	said "$2"
}
# nothing configured: each source is named
expect 3 "$FIXFLEET" $list; said "GOOGLE_APPLICATION_CREDENTIALS is not set"; said "application_default_credentials.json"; said "metadata"
# a service account's key
expect 0 env GOOGLE_APPLICATION_CREDENTIALS="$key" "$FIXFLEET" $list; said "signed in with GOOGLE_APPLICATION_CREDENTIALS '$key'"
with other-key.json "invalid_grant" 3
with elsewhere.json "no secret is sent there" 3
with nothing.json "nothing.json" 3
# somebody's own login, where gcloud leaves it
with user.json "user.json"
with revoked.json "gcloud auth application-default login" 3
cp "$T/user.json" "$T/gcloud/application_default_credentials.json"
expect 0 "$FIXFLEET" $list; said "application default credentials"
rm "$T/gcloud/application_default_credentials.json"
# federation: from a file, a URL, a program only when that is allowed
with file.json "file.json"
with json-file.json "json-file.json"
with wrong-file.json "invalid_grant" 3
with run.json "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" 3
export GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1
with run.json "run.json"
unset GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES
serve /token Metadata true "$T/subject"
credentials url.json "$external + {credential_source:{url:\"http://127.0.0.1:$port/token\", headers:{Metadata:\"true\"}}}"
credentials bare-url.json "$external + {credential_source:{url:\"http://127.0.0.1:$port/token\"}}"
with url.json "url.json"
with bare-url.json "403" 3
# impersonation, of a login and of a federated identity
with mender.json "mender.json"
with mended.json "mended.json"
with stranger.json "iam.serviceAccounts.getAccessToken" 3
# the metadata server
expect 0 env GCE_METADATA_HOST="$metadata" "$FIXFLEET" $list; said "metadata server"
# a token file goes before all
curl -sS -H 'Metadata-Flavor: Google' "http://$metadata/computeMetadata/v1/instance/service-accounts/default/token" | jq -r .access_token >"$T/token"
expect 0 env CLOUDSDK_AUTH_ACCESS_TOKEN_FILE="$T/token" GOOGLE_APPLICATION_CREDENTIALS="$T/nothing" "$FIXFLEET" $list
said "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"
echo ya29.expired >"$T/token"
expect 3 env CLOUDSDK_AUTH_ACCESS_TOKEN_FILE="$T/token" "$FIXFLEET" $list; said "invalid authentication credentials"

# who pays for quota, and the project
billed() {
	jq -s -r '[.[] | .request_headers | to_entries[] | select(.key | ascii_downcase == "x-goog-user-project") | .value] | last' "$O/traffic/$SIM_NAME.jsonl"
}
[ "$(billed)" = null ] || fail "somebody was billed without being named"
with quota.json "quota.json"
[ "$(billed)" = billed-1 ] || fail "the file's quota project: $(billed)"
expect 0 env GOOGLE_CLOUD_QUOTA_PROJECT=billed-2 GOOGLE_APPLICATION_CREDENTIALS="$key" "$FIXFLEET" $list
[ "$(billed)" = billed-2 ] || fail "GOOGLE_CLOUD_QUOTA_PROJECT: $(billed)"
export GOOGLE_APPLICATION_CREDENTIALS="$key"
expect 0 env GOOGLE_CLOUD_PROJECT=other CLOUDSDK_CORE_PROJECT=p1 "$FIXFLEET" list --provider gcp --output json
json "$T/out" '.[0].scope == "p1"' "the project of the environment"
! grep -rqE 'user~secret|1//refresh|sub\.jec|PRIVATE KEY|Bearer ya29' "$T/out" "$T/err" || fail "a secret is in output or log"
no_violations
