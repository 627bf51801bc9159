-- Asks Gatepost's outpost about a request: /etc/haproxy/gatepost.lua
--
--   http-request lua.gatepost http://127.0.0.1:9000   asks, and answers what may not go on
--   http-response lua.gatepost-cookies                hands a renewed session to the browser
--   filter lua.gatepost-trailers                      refuses what a client says behind the body
--
-- Each backend has to demand the outpost's consent, since HAProxy goes on after an error in Lua:
--
--   http-request deny deny_status 500 unless { var(txn.gatepost) -m bool }

-- How long one attempt to ask may take, in milliseconds. HAProxy makes up to four.
local patience = 10000

-- The headers that the outpost reads, and what joins the values of several lines. `once`:
-- a second line is another sender's, so such a request is refused. HAProxy's client has no room for
-- all that a request may bring.
local once = {}
local asked = {
    ["accept"] = ", ",
    ["accept-language"] = ", ",
    ["access-control-request-method"] = once,
    ["authorization"] = once,
    ["cookie"] = "; ",
    ["dpop"] = once,
    ["origin"] = once,
    ["sec-fetch-dest"] = once,
    ["sec-fetch-mode"] = once,
    ["sec-fetch-site"] = once,
    ["sec-websocket-key"] = once,
    ["secure-session-skipped"] = ", ",
    ["traceparent"] = ", ",
    ["tracestate"] = ", ",
    ["user-agent"] = ", ",
    ["x-gatepost-require"] = once,
    ["x-request-id"] = ", ",
    ["x-requested-with"] = ", ",
}

-- The headers that the application gets from the outpost alone, if at all, and from no client. `cookie`
-- comes back without Gatepost's own.
local replaced = {
    "x-auth-username",
    "x-auth-groups",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-forwarded-groups",
    "x-gatepost-assertion",
    "cookie",
    -- Who the user is, in the words of other systems; another path, method, scheme, host or address than
    -- the outpost was asked about. The outpost never sets these. Leave out what a proxy in front of HAProxy
    -- sets or removes in every request, if the app needs it.
    -- Generated: each header that no client may say.
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-access-token",
    "x-auth-request-redirect",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-remote-user",
    "x-remote-group",
    "x-webauth-user",
    "x-webauth-email",
    "x-authentik-username",
    "x-authentik-groups",
    "x-authentik-email",
    "x-authentik-name",
    "x-authentik-uid",
    "x-original-url",
    "x-rewrite-url",
    "x-script-name",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-forwarded-login",
    "x-forwarded-name",
    "x-auth-roles",
    "x-auth-email",
    "x-auth-name",
    "x-auth-subject",
    "x-auth-userid",
    "x-userinfo",
    "x-ms-client-principal",
    "script-name",
    "forwarded",
    "x-forwarded-ssl",
    "x-forwarded-scheme",
    "x-forwarded-protocol",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-host",
    "proxy",
    "x-gatepost-verdict",
    "x-gatepost-require",
    "remote-roles",
    "x-remote-groups",
    "x-remote-uid",
    "x-remote-email",
    "x-remote-name",
    "x-webauth-name",
    "x-webauth-fullname",
    "x-webauth-groups",
    "x-webauth-role",
    "x-authentik-entitlements",
    "x-authentik-jwt",
    "x-auth-request-roles",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-authenticated-email",
    "x-authenticated-groups",
    "x-authenticated-scope",
    "x-vouch-user",
    "x-vouch-success",
    "x-vouch-idp-claims-email",
    "x-vouch-idp-claims-groups",
    "x-vouch-idp-accesstoken",
    "x-vouch-idp-idtoken",
    "x-pomerium-jwt-assertion",
    "x-pomerium-claim-email",
    "x-pomerium-claim-groups",
    "x-pomerium-claim-name",
    "x-pomerium-claim-user",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    "x-ms-client-principal-id",
    "x-ms-client-principal-idp",
    "x-ms-client-principal-name",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-id-token",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-consumer-id",
    "x-consumer-username",
    "x-consumer-custom-id",
    "x-consumer-groups",
    "x-credential-identifier",
    "x-credential-username",
    "cf-access-authenticated-user-email",
    "cf-access-jwt-assertion",
    "tailscale-user-login",
    "tailscale-user-name",
    "oidc-claim-sub",
    "oidc-claim-email",
    "oidc-claim-groups",
    "oidc-claim-name",
    "oidc-claim-preferred-username",
    "oidc-claim-roles",
    "oidc-access-token",
    "oidc-id-token",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-server",
    "x-forwarded-port",
    "x-real-ip",
    -- End of the generated lines.
}

-- The headers of a refusal that go to the browser.
local shown = {
    "cache-control",
    "content-security-policy",
    "content-type",
    "location",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    "x-content-type-options",
}

-- The values of a header in their order, whichever number they start at.
local function values(headers, name)
    local found = headers[name] or {}
    local numbers = {}
    for number in pairs(found) do
        table.insert(numbers, number)
    end
    table.sort(numbers)
    local all = {}
    for _, number in ipairs(numbers) do
        table.insert(all, found[number])
    end
    return all
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(shown) do
        for _, value in ipairs(values(headers, name)) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

-- Returns what to ask: the headers of the question, or nothing and the name of one that is there
-- twice.
local function question(txn, request)
    local headers = {}
    for name, between in pairs(asked) do
        local lines = values(request, name)
        if between == once and #lines > 1 then
            return nil, name
        elseif #lines > 0 then
            headers[name] = { table.concat(lines, between ~= once and between or "") }
        end
    end
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
    -- All of the line: `req_hdr` takes a comma for the beginning of another value, and the last one.
    -- The outpost refuses a value that is not one host.
    headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    -- The client's address, for `rateLimit`.
    headers["x-forwarded-for"] = { txn.sf:src() }
    return headers
end

-- Adds the outpost's headers to the request, and returns whether all of them are there: HAProxy
-- leaves out, without an error, what its buffer has no room for.
local function identify(txn, answer)
    -- A name that is in the list twice is still one header.
    local done = {}
    for _, name in ipairs(replaced) do
        if not done[name] then
            for _, value in ipairs(values(answer, name)) do
                txn.http:req_add_header(name, value)
            end
        end
        done[name] = true
    end
    local request = txn.http:req_get_headers()
    for _, name in ipairs(replaced) do
        local added, expected = values(request, name), values(answer, name)
        if #added ~= #expected then
            return false
        end
        for number, value in ipairs(expected) do
            if added[number] ~= value then
                return false
            end
        end
    end
    return true
end

core.register_action("gatepost", { "http-req" }, function(txn, outpost)
    local request = txn.http:req_get_headers()
    -- First of all, so that no failure leaves a client's own in place.
    for _, name in ipairs(replaced) do
        txn.http:req_del_header(name)
    end
    local headers, twice = question(txn, request)
    if not headers then
        refuse(txn, 400, {}, "The header " .. twice .. " may occur once.\n")
    end

    local answer = core.httpclient():get{
        url = outpost .. "/akprox/auth/traefik",
        headers = headers,
        timeout = patience,
    }
    local status = answer and answer.status or 0
    if status == 0 then
        refuse(txn, 503, {}, "The outpost cannot be reached.\n")
    elseif status < 200 or status >= 300 then
        refuse(txn, status, answer.headers or {}, answer.body or "")
    elseif not identify(txn, answer.headers) then
        refuse(txn, 431, {}, "The request is too large.\n")
    end
    txn:set_priv(values(answer.headers, "set-cookie"))
    -- The consent. Nothing may come after it.
    txn:set_var("txn.gatepost", true)
end, 1)

core.register_action("gatepost-cookies", { "http-res" }, function(txn)
    for _, cookie in ipairs(txn:get_priv() or {}) do
        txn.http:res_add_header("set-cookie", cookie)
    end
end, 0)

-- Refuses a request with trailers before they go on: some apps take them for headers, or for another
-- request, and neither HAProxy's rules nor the outpost have seen them.
local trailers = { id = "gatepost-trailers", flags = filter.FLT_CFG_FL_HTX }
trailers.__index = trailers

function trailers:new()
    return setmetatable({}, self)
end

function trailers:start_analyze(_, channel)
    if not channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function trailers:http_payload(_, message)
    -- Behind the data, HAProxy has an end of one byte. More than that, with no data in it, is trailers.
    local length = message:input()
    if length > 1 and #(message:body(length - 2, 1) or "") == 0 then
        error("a request with trailers, which is refused", 0)
    end
end

-- Only where each thread has a Lua of its own: with `lua-load`, HAProxy 2.6 shares one among them without
-- locks for filters, and a few hundred requests end the process.
if core.thread > 0 then
    core.register_filter("gatepost-trailers", trailers, function(self)
        return self
    end)
end
