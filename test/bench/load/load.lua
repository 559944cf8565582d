-- wrk script: sends the bodies of a file (one a line) in turn. Arguments: FILE SEED [MEAN_PAUSE_MS]
-- With a mean pause each connection waits before every request, for a random time (exponential): many such connections
-- together are Poisson arrivals.
local requests, place = {}, 0

function init(args)
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format('POST', nil, nil, body)
  end
  local seed = tonumber(args[2])
  place = seed % #requests
  local mean_pause = tonumber(args[3])
  if mean_pause then
    math.randomseed(seed)
    -- wrk looks for this name after init.
    function delay()
      return math.floor(-math.log(1 - math.random()) * mean_pause + 0.5)
    end
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

-- Clock ticks of CPU that this process has used: proc_pid_stat(5), fields 14 and 15.
local function cpu_ticks()
  local text = io.open('/proc/self/stat'):read('*a')
  local fields = {}
  for field in text:match('.*%) (.*)'):gmatch('%S+') do
    fields[#fields + 1] = field
  end
  return tonumber(fields[12]) + tonumber(fields[13])
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"badStatus":%d,"broken":%d,' ..
      '"p50Ms":%.4f,"p95Ms":%.4f,"p99Ms":%.4f,"maxMs":%.4f,"cpuTicks":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, cpu_ticks()
  ))
end
