#!/bin/sh
# Each way to sign in, in the order of the Azure SDKs; -v says which one was taken. A token that ends is renewed.
. tests/e2e/lib

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=fixfleet 2>/dev/null
cat "$T/key.pem" "$T/cert.pem" >"$T/client.pem"
# a token as an OIDC issuer writes it, without a true signature
federated=eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhcGk6Ly9BenVyZUFEVG9rZW5FeGNoYW5nZSIsImlzcyI6Imh0dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6b3BzOmZpeGZsZWV0IiwiZXhwIjoxfQ.c2ln
printf '%s' "$federated" >"$T/token"
scenario "$(jq -cn --arg c "$T/cert.pem" --arg f "$federated" '{certificate:$c, federated_token:$f, imds_vm:"rescue-1"}')" '[]' \
	"$(win b-1 bad.img)" "$(rescue rescue-1)"
sim_start "$T/scenario.json" "$T/cloud" --imds 127.0.0.1:0
azure="list --provider azure --rg prod -v"

expect 0 "$FIXFLEET" $azure; said "signed in with client secret"
secret=$AZURE_CLIENT_SECRET
unset AZURE_CLIENT_SECRET
export AZURE_CLIENT_CERTIFICATE_PATH="$T/client.pem"
expect 0 "$FIXFLEET" $azure; said "signed in with client certificate"
# another key's certificate is refused, and nothing else is tried behind the operator's back
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/k2" -out "$T/c2" -days 2 -subj /CN=other 2>/dev/null
cat "$T/k2" "$T/c2" >"$T/other.pem"
expect 3 env AZURE_CLIENT_CERTIFICATE_PATH="$T/other.pem" "$FIXFLEET" $azure; said "certificate"
expect 3 env AZURE_CLIENT_CERTIFICATE_PATH="$T/nothing.pem" "$FIXFLEET" $azure; said "nothing.pem"
unset AZURE_CLIENT_CERTIFICATE_PATH
expect 0 env AZURE_FEDERATED_TOKEN_FILE="$T/token" "$FIXFLEET" $azure; said "signed in with workload identity"
expect 0 env -u AZURE_TENANT_ID -u AZURE_CLIENT_ID "$FIXFLEET" $azure; said "signed in with managed identity"
# on a rescue VM nothing is configured at all: the metadata service knows the subscription, too
expect 0 env -u AZURE_TENANT_ID -u AZURE_CLIENT_ID -u AZURE_SUBSCRIPTION_ID "$FIXFLEET" $azure; said "signed in with managed identity"
[ "$(sim_state '.requests["instance metadata"]')" = 1 ] || fail "the metadata service is asked for the subscription only where it is not known"

# az: a stand-in that hands on a token as the real one prints it
mkdir -p "$T/bin"
cat >"$T/bin/az" <<EOF
#!/bin/sh
[ "\$1 \$2" = "account get-access-token" ] || exit 1
token=\$(curl -sS --cacert "$SIM_CA" -d "grant_type=client_credentials&client_id=$AZURE_CLIENT_ID&client_secret=$secret&scope=https%3A%2F%2Fmanagement.azure.com%2F.default" \
	"$SIM_URL/$AZURE_TENANT_ID/oauth2/v2.0/token" | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
printf '{"accessToken":"%s","expires_on":%s,"subscription":"$SUB","tenant":"$AZURE_TENANT_ID","tokenType":"Bearer"}' "\$token" \$((\$(date +%s) + 3000))
EOF
chmod +x "$T/bin/az"
# without AZURE_SUBSCRIPTION_ID: az knows it
expect 0 env -u AZURE_TENANT_ID -u AZURE_CLIENT_ID -u AZURE_SUBSCRIPTION_ID AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:9 \
	PATH="$T/bin:$PATH" "$FIXFLEET" $azure
said "signed in with az"
# a whole subscription
expect 0 env AZURE_CLIENT_SECRET="$secret" "$FIXFLEET" list --provider azure --subscription "$SUB" --output json
json "$T/out" 'length == 2' "the subscription's VMs"
