# ruby sidekiq.rb PORT — a Sidekiq server with two threads in this process, and what an application does with it; exits with
# 0 if everything was as it should be.
require 'sidekiq'
require 'sidekiq/cli' # makes this process a server
require 'sidekiq/launcher'
require 'sidekiq/api'

PORT = ARGV[0].to_i
Sidekiq.logger.level = Logger::FATAL # failures are part of the test
Sidekiq.options.merge!(queues: %w[critical default], concurrency: 2, poll_interval_average: 0.2, timeout: 5)
Sidekiq.configure_server { |config| config.redis = { port: PORT } }

DONE = Queue.new

class Echo
  include Sidekiq::Worker
  def perform(word)
    DONE << word
  end
end

class FailsTwice
  include Sidekiq::Worker
  sidekiq_options retry: 5, queue: 'critical'
  @tries = Hash.new(0)
  class << self; attr_reader :tries; end
  def perform(name)
    self.class.tries[name] += 1
    raise 'not yet' if self.class.tries[name] < 3
    DONE << name
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options retry: 0
  def perform
    raise 'never'
  end
end

def expect(what, wanted, got)
  raise "#{what}: #{got.inspect}, not #{wanted.inspect}" unless wanted == got
end

def eventually(what, seconds = 60)
  limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until yield
    raise "never: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > limit
    sleep 0.02
  end
end

# Before anything is there to work on them.
100.times { |i| Echo.perform_async("now #{i}") }
Sidekiq::Client.push_bulk('class' => Echo, 'args' => (0...200).map { |i| ["bulk #{i}"] })
expect 'waiting', 300, Sidekiq::Queue.new.size
later = Time.now + 1.5
Echo.perform_at(later, 'later')
expect 'scheduled', ['later'], Sidekiq::ScheduledSet.new.map { |job| job.args[0] }
cancelled = Echo.perform_in(3600, 'cancelled')
expect 'cancelled', true, Sidekiq::ScheduledSet.new.find_job(cancelled).delete ? true : false

launcher = Sidekiq::Launcher.new(Sidekiq.options)
launcher.run

wanted = (0...100).map { |i| "now #{i}" } + (0...200).map { |i| "bulk #{i}" }
expect 'done', wanted.sort, Array.new(300) { DONE.pop }.sort
expect 'later', 'later', DONE.pop
raise 'too early' if Time.now < later

FailsTwice.perform_async('third time')
2.times do # it would be tried again by itself, after a quarter of a minute
  eventually('it is to be tried again') { Sidekiq::RetrySet.new.size == 1 }
  Sidekiq::RetrySet.new.each(&:retry)
end
expect 'after failures', 'third time', DONE.pop
Hopeless.perform_async
stats = nil
eventually('the hopeless job is buried') { (stats = Sidekiq::Stats.new).failed == 3 }
expect 'failed', 3, stats.failed
eventually('all are counted') { Sidekiq::Stats.new.processed == 305 } # by its heartbeat, every five seconds
eventually('one process is known') { Sidekiq::ProcessSet.new.size == 1 }
launcher.stop
expect 'left', 0, Sidekiq::Stats.new.enqueued
puts 'done'
exit!(0)
