"""The verbs: one function for each thing that a person does, with the name of its action.

Permission, stage and log are the door's business. What takes long (reading a file, building a data set, signing) is
done before the door is opened, and the door asks again.
"""

from distill_tui.actions.data import *
from distill_tui.actions.decide import *
from distill_tui.actions.gate import *
from distill_tui.actions.live import *
from distill_tui.actions.people import *
from distill_tui.actions.runs import *
from distill_tui.actions.sign_offs import *
